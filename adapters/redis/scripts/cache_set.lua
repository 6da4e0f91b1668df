-- Keeps a value for a while. When its kind has too many values or bytes, those
-- that were set first go; a value larger than the bound is not kept. A full memory
-- keeps none.
local key, order, sizes = KEYS[1], KEYS[2], KEYS[3]
local value, lifetime = ARGV[1], tonumber(ARGV[2])
local most, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])

-- Under no key the hash of sizes has their sum. When somebody has meddled with one
-- of the two, both begin anew, and what was kept expires by itself.
local number, fields = redis.call('ZCARD', order), redis.call('HLEN', sizes)
local sum = natural(redis.call('HGET', sizes, ''), 15)
if fields ~= (number > 0 and number + 1 or 0) or number > 0 and not sum then
  redis.call('DEL', order, sizes)
  number, sum = 0, nil
end
sum = sum or 0

local function forget(old)
  local size = redis.call('HGET', sizes, old)
  redis.call('HDEL', sizes, old)
  redis.call('ZREM', order, old)
  redis.call('DEL', old)
  sum = math.max(0, sum - (natural(size, 15) or 0))
end

-- Numbers instead of times: no two are equal, and no clock that is set back
-- makes the latest look like the first.
local latest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')
local size = #key + #value + OVERHEAD
if size <= most_bytes then
  local before = natural(redis.call('HGET', sizes, key), 15) or 0
  redis.call('ZADD', order, (latest[2] or 0) + 1, key)
  redis.call('HSET', sizes, key, size)
  sum = math.max(0, sum - before) + size
  -- After that, so that nothing is kept that is not counted.
  redis.call('SET', key, value, 'PX', lifetime)
elseif redis.call('ZSCORE', order, key) then
  forget(key)
end
while redis.call('ZCARD', order) > most or sum > most_bytes do
  local first = redis.call('ZRANGE', order, 0, 0)[1]
  if not first then
    break
  end
  forget(first)
end
if redis.call('ZCARD', order) == 0 then
  redis.call('DEL', sizes)
else
  redis.call('HSET', sizes, '', string.format('%.0f', sum))
end
return 0
