-- Keeps a value for a while. When there are too many of its kind, those that
-- were set first go. A full memory keeps none.
local key, order = KEYS[1], KEYS[2]
local value, lifetime, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- Numbers instead of times: no two are equal, and no clock that is set back
-- makes the latest look like the first.
local latest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')
redis.call('ZADD', order, (latest[2] or 0) + 1, key)
-- After that, so that nothing is kept that is not counted.
redis.call('SET', key, value, 'PX', lifetime)
local surplus = redis.call('ZCARD', order) - most
if surplus > 0 then
  local first = redis.call('ZPOPMIN', order, surplus)
  for i = 1, #first, 2 do
    redis.call('DEL', first[i])
  end
end
return 0
