-- Judges a request of a client. Returns {granted, barred, wait, remaining,
-- reset, heedless, ago}, times in microseconds: for how long the client is
-- barred, how often it asked nevertheless, and how long ago that began. When the
-- caller hashes with another key than the one agreed on, it returns {} and
-- judges nothing.
--
-- This is adapters/memory/limiter.go in Lua: there it is explained. Beside that
-- it is told how often the caller refused the client without asking here, and
-- how long ago that began; and what the caller granted by itself, with which the
-- client is charged first: after how long the burst is whole, and for each grant
-- how long ago it was, requests and events.
local agreed, key, clients = KEYS[1], KEYS[2], KEYS[3]
local id, most = ARGV[1], tonumber(ARGV[2])
local requests, burst, events = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local patience, asked = tonumber(ARGV[6]), tonumber(ARGV[7])
local disregarded, ago = tonumber(ARGV[8]), tonumber(ARGV[9])
local USED_WHOLE, USED = 10, 11 -- where the arguments begin that say what to charge

local WINDOW, LONGEST, FORGIVENESS, GRAIN = 60000000, 600000000, 600000000, 500000
local STRIKES_TO_BAR = 3
local interval = math.floor(WINDOW / requests)

if redis.call('GET', agreed) ~= id then
  return {}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The account is a list of numbers: when the client was judged last, when its
-- burst is whole, till when it is barred, till when it was told to wait with
-- its events, how often it asked nevertheless, in the window that began when,
-- the windows violated, when the last of these was; and from FIRST on, for each
-- grant, when it was, requests, events.
local SEEN, WHOLE, BARRED, TOLD, HEEDLESS, SINCE, STRIKES, STRUCK, FIRST = 1, 2, 3, 4, 5, 6, 7, 8, 9
local a = {0, 0, 0, 0, 0, 0, 0, 0}
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

local function allowance()
  local free = math.floor((burst * interval - math.max(a[WHOLE] - now, 0)) / interval)
  local remaining = math.max(0, math.min(free, requests - granted()))
  return {1, 0, 0, remaining, wait_for_requests(burst), a[HEEDLESS], math.min(now - a[SINCE], WINDOW)}
end

local function refusal()
  local answer, bar = allowance(), math.max(a[BARRED] - now, 0)
  answer[1], answer[2] = 0, bar
  answer[3] = math.max(bar, wait_for_requests(1), wait_for_events())
  if bar > 0 then
    answer[4], answer[5] = 0, math.max(answer[5], bar)
  end
  return answer
end

local function penalty()
  if a[STRIKES] < STRIKES_TO_BAR then
    return 0
  end
  return math.min(WINDOW * 2 ^ math.min(a[STRIKES] - STRIKES_TO_BAR, 10), LONGEST)
end

local function forgiven()
  return a[STRUCK] + math.max(WINDOW, penalty()) + FORGIVENESS
end

-- forget drops what is too long ago, and all of it when the clock was set back.
local function forget()
  if now < a[SEEN] then
    a = {0, 0, 0, 0, 0, 0, 0, 0}
  end
  a[SEEN] = now
  local left = {unpack(a, 1, FIRST - 1)}
  for i = FIRST, #a, 3 do
    if a[i] + WINDOW > now then
      left[#left + 1] = a[i]
      left[#left + 1] = a[i + 1]
      left[#left + 1] = a[i + 2]
    end
  end
  a = left
  if now >= forgiven() then
    a[STRIKES] = 0
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

-- charge adds what the caller granted by itself.
local function charge()
  a[WHOLE] = math.max(a[WHOLE], now) + tonumber(ARGV[USED_WHOLE])
  local grants = {}
  for i = FIRST, #a, 3 do
    grants[#grants + 1] = {a[i], a[i + 1], a[i + 2]}
  end
  for i = USED, #ARGV, 3 do
    grants[#grants + 1] = {now - ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])}
  end
  table.sort(grants, function(g, h) return g[1] < h[1] end)
  a = {unpack(a, 1, FIRST - 1)}
  for _, g in ipairs(grants) do
    local last = #a - 2
    if last >= FIRST and math.floor(a[last] / GRAIN) == math.floor(g[1] / GRAIN) then
      a[last], a[last + 1], a[last + 2] = g[1], a[last + 1] + g[2], a[last + 2] + g[3]
    else
      a[#a + 1], a[#a + 2], a[#a + 3] = g[1], g[2], g[3]
    end
  end
end

-- disregard counts that the client asked n times although it was told to wait,
-- since some time ago.
local function disregard(n, since)
  if now >= a[SINCE] + WINDOW then
    a[SINCE], a[HEEDLESS] = since, 0
  end
  a[HEEDLESS] = a[HEEDLESS] + n
  if a[HEEDLESS] < patience or a[STRUCK] >= a[SINCE] then
    return
  end
  a[STRIKES], a[STRUCK] = a[STRIKES] + 1, now
  a[BARRED] = math.max(a[BARRED], now + penalty())
end

local function judge()
  if disregarded > 0 then
    disregard(disregarded, now - ago)
  end
  if a[BARRED] > now then
    disregard(1, now)
    return refusal()
  end
  local wait = wait_for_requests(1)
  if wait > 0 then
    a[BARRED] = now + wait
    return refusal()
  end
  a[WHOLE] = math.max(a[WHOLE], now) + interval
  if wait_for_events() > 0 then
    add(0)
    if now < a[TOLD] then
      disregard(1, now)
    end
    a[TOLD] = now + wait_for_events()
    return refusal()
  end
  add(asked)
  return allowance()
end

forget()
if #ARGV >= USED_WHOLE then
  charge()
end
local verdict = judge()

local last = a[WHOLE]
if #a >= FIRST then
  last = math.max(last, a[#a - 2] + WINDOW)
end
if a[HEEDLESS] > 0 then
  last = math.max(last, a[SINCE] + WINDOW)
end
if a[STRIKES] > 0 then
  last = math.max(last, forgiven())
end
redis.call('SET', key, cmsgpack.pack(a), 'PX', math.ceil((last - now) / 1000) + 1)
-- Those that were judged longest ago go first when there are too many, which a new
-- account decides. What was judged in the future, by a clock that was set back since,
-- is worthless. Without new accounts once in 64 times is enough for that.
redis.call('ZADD', clients, now, key)
if kept and now % 64 > 0 then
  return verdict
end
redis.call('ZREMRANGEBYSCORE', clients, '-inf', now - 2 * (LONGEST + FORGIVENESS))
for _, other in ipairs(redis.call('ZRANGEBYSCORE', clients, string.format('(%.0f', now), '+inf', 'LIMIT', 0, 100)) do
  redis.call('DEL', other)
  redis.call('ZREM', clients, other)
end
local surplus = redis.call('ZCARD', clients) - most
if surplus > 0 then
  local first = redis.call('ZPOPMIN', clients, surplus)
  for i = 1, #first, 2 do
    redis.call('DEL', first[i])
  end
end
return verdict
