-- Judges a request of a client. Returns {granted, barred, wait, remaining,
-- reset}, times in microseconds. When the caller hashes with another key than
-- the one agreed on, it returns {} and judges nothing.
--
-- This is adapters/memory/limiter.go in Lua: there it is explained.
local agreed, key, clients = KEYS[1], KEYS[2], KEYS[3]
local id, most = ARGV[1], tonumber(ARGV[2])
local requests, burst, events = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local asked = tonumber(ARGV[6])

local WINDOW, LONGEST, FORGIVENESS, GRAIN = 60000000, 600000000, 600000000, 500000
local STRIKES = 3
local interval = math.floor(WINDOW / requests)

if redis.call('GET', agreed) ~= id then
  return {}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The account is a list of numbers: when the client was seen, when its burst is
-- whole, till when it is barred, the violated windows, when the last of these
-- began; and from FIRST on, for each grant, when it was, requests, events.
local SEEN, WHOLE, BARRED, STRUCK, SINCE, FIRST = 1, 2, 3, 4, 5, 6
local a = {0, 0, 0, 0, 0}
local kept = redis.call('GET', key)
if kept then
  a = cmsgpack.unpack(kept)
end

local function granted()
  local sum = 0
  for i = FIRST, #a, 3 do
    sum = sum + a[i + 1]
  end
  return sum
end

-- wait_for_requests is how long it takes until n can be granted at once.
local function wait_for_requests(n)
  local wait = math.max(a[WHOLE] - now - (burst - n) * interval, 0)
  local over = granted() + n - requests
  for i = FIRST, #a, 3 do
    if over <= 0 then
      break
    end
    over = over - a[i + 1]
    wait = math.max(wait, a[i] + WINDOW - now)
  end
  return wait
end

local function wait_for_events()
  local over = asked - events
  for i = FIRST, #a, 3 do
    over = over + a[i + 2]
  end
  if asked == 0 or over <= 0 then
    return 0
  end
  for i = FIRST, #a, 3 do
    over = over - a[i + 2]
    if over <= 0 then
      return a[i] + WINDOW - now
    end
  end
  return WINDOW
end

local function is_barred()
  return a[SEEN] <= now and now < a[BARRED]
end

local function answer(ok, wait)
  local free = math.floor((burst * interval - math.max(a[WHOLE] - now, 0)) / interval)
  local remaining = math.max(0, math.min(free, requests - granted()))
  local reset, barred = wait_for_requests(burst), 0
  if is_barred() and ok == 0 then
    remaining, reset, barred = 0, math.max(reset, a[BARRED] - now), 1
  end
  return {ok, barred, wait, remaining, reset}
end

if is_barred() then
  return answer(0, a[BARRED] - now)
end

local function forgiven()
  return math.max(a[SINCE] + WINDOW, a[BARRED]) + FORGIVENESS
end

-- forget drops what is too long ago, and all of it when the clock was set back.
local function forget()
  if now < a[SEEN] then
    a = {0, 0, 0, 0, 0}
  end
  a[SEEN] = now
  local left = {now, a[WHOLE], a[BARRED], a[STRUCK], a[SINCE]}
  for i = FIRST, #a, 3 do
    if a[i] + WINDOW > now then
      left[#left + 1] = a[i]
      left[#left + 1] = a[i + 1]
      left[#left + 1] = a[i + 2]
    end
  end
  a = left
  if now >= forgiven() then
    a[STRUCK] = 0
  end
end

local function add(n)
  local last = #a - 2
  if last >= FIRST and math.floor(a[last] / GRAIN) == math.floor(now / GRAIN) then
    a[last], a[last + 1], a[last + 2] = now, a[last + 1] + 1, a[last + 2] + n
  else
    a[#a + 1] = now
    a[#a + 1] = 1
    a[#a + 1] = n
  end
end

-- strike counts a violated window, once, and returns for how long to bar.
local function strike()
  if a[STRUCK] > 0 and now < a[SINCE] + WINDOW then
    return 0
  end
  a[STRUCK], a[SINCE] = a[STRUCK] + 1, now
  if a[STRUCK] < STRIKES then
    return 0
  end
  return math.min(WINDOW * 2 ^ math.min(a[STRUCK] - STRIKES, 10), LONGEST)
end

local function bar(wait)
  a[BARRED] = now + math.max(wait, strike())
  return answer(0, a[BARRED] - now)
end

local function judge()
  local wait = wait_for_requests(1)
  if wait > 0 then
    return bar(wait)
  end
  a[WHOLE] = math.max(a[WHOLE], now) + interval
  if wait_for_events() > 0 then
    add(0)
    wait = math.max(wait_for_events(), wait_for_requests(1))
    local penalty = strike()
    if penalty > 0 then
      return bar(math.max(wait, penalty))
    end
    return answer(0, wait)
  end
  add(asked)
  return answer(1, 0)
end

forget()
local verdict = judge()

local last = a[WHOLE]
if #a >= FIRST then
  last = math.max(last, a[#a - 2] + WINDOW)
end
if a[STRUCK] > 0 then
  last = math.max(last, forgiven())
end
redis.call('SET', key, cmsgpack.pack(a), 'PX', math.ceil((last - now) / 1000) + 1)
-- Those that were judged longest ago go first when there are too many.
redis.call('ZADD', clients, now, key)
redis.call('ZREMRANGEBYSCORE', clients, '-inf', now - 2 * (LONGEST + FORGIVENESS))
local surplus = redis.call('ZCARD', clients) - most
if surplus > 0 then
  local first = redis.call('ZPOPMIN', clients, surplus)
  for i = 1, #first, 2 do
    redis.call('DEL', first[i])
  end
end
return verdict
