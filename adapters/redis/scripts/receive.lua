-- Hands out the oldest entries that nobody holds, as many as have at most so
-- many events together, but at least one. Returns {entry, attempt, fields} for
-- each, behind the newest format of the payloads that were put aside, or 0.
--
-- A payload of a newer format than the caller's is put aside for workers that
-- know it, in the hands of a consumer that is called by the format.
--
-- Nobody holds what was given back, what is in the hands of a worker that has
-- not shown itself in time, what this worker was handed without noticing, and
-- what was never handed out. When nothing at all is handed out, that is the
-- whole stream.
local stream, size, workers, arrivals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, lifetime, most, format = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local noticed = {}
for i = 5, #ARGV do
  noticed[ARGV[i]] = true
end

redis.call('ZREM', workers, '')
local time = now()
redis.call('ZADD', workers, time + lifetime, me)

local pending = redis.pcall('XPENDING', stream, GROUP)
if pending.err then
  if not string.find(pending.err, 'NOGROUP', 1, true) then
    return pending
  end
  redis.call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
  pending = {0}
end

-- Entries held by nobody, although they were handed out.
local free = {}
for _, consumer in ipairs(pending[4] or {}) do
  local name = consumer[1]
  local needed = natural(string.match(name, '^format%-(.*)$'), 2) or 0
  if name == me or needed <= format and not alive(workers, name, time) then
    for _, p in ipairs(redis.call('XPENDING', stream, GROUP, '-', '+', most + #ARGV, name)) do
      if name ~= me or not noticed[p[1]] then
        local ms, seq = string.match(p[1], '^(%d+)-(%d+)$')
        free[#free + 1] = {entry = p[1], ms = tonumber(ms), seq = tonumber(seq), attempt = p[4] + 1}
      end
    end
  end
end
table.sort(free, function(a, b)
  return a.ms < b.ms or a.ms == b.ms and a.seq < b.seq
end)

local handed, fresh, events, newest = {}, {}, 0, 0
-- take hands out an entry, or returns false when there is no room for it. One
-- without events takes some room too, or there might be no end of them. Those that
-- were never handed out are handed out together at the end.
local function take(entry, attempt, fields)
  local later = laterFormat(fields, format)
  if later then
    hand(stream, 'format-' .. later, entry, attempt - 1)
    newest = math.max(newest, later)
    return true
  end
  local n = math.max(count(fields), 1)
  if #handed > 0 and events + n > most then
    return false
  end
  events = events + n
  if attempt == 1 then
    fresh[#fresh + 1] = entry
  else
    hand(stream, me, entry, attempt)
  end
  handed[#handed + 1] = {entry, attempt, fields}
  return true
end

local function finish()
  hand_all(stream, me, fresh)
  return {newest, handed}
end

for _, f in ipairs(free) do
  local found = redis.call('XRANGE', stream, f.entry, f.entry)[1]
  if not found then
    redis.call('XACK', stream, GROUP, f.entry) -- deleted by other means
  elseif not take(f.entry, f.attempt, found[2]) then
    announce(arrivals)
    return finish()
  end
end

local last = '0-0'
if pending[1] > 0 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if field(group, 'name') == GROUP then
      last = field(group, 'last-delivered-id')
    end
  end
end
-- reads is how many entries to read at once: as many as there is room for when the
-- next ones are as large as those so far.
local function reads()
  if #handed == 0 then
    return 1
  end
  return math.max(1, math.min(200, math.ceil((most - events) * #handed / events)))
end

local full = false
while not full do
  local found = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', reads())
  if #found == 0 then
    break
  end
  for _, e in ipairs(found) do
    last = e[1]
    if not take(last, 1, e[2]) then
      announce(arrivals)
      full = true
      break
    end
  end
end
if #handed == 0 and redis.call('XLEN', stream) == 0 then
  redis.call('DEL', size) -- an empty queue has no events, whatever was counted
end
if newest > 0 then
  announce(arrivals)
end
return finish()
