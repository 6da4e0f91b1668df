-- Keeps a value for a while. When there are too many, those that would go
-- first go at once. A full memory keeps none.
local key, ends = KEYS[1], KEYS[2]
local value, lifetime, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('SET', key, value, 'PX', lifetime)
local time = now()
redis.call('ZREMRANGEBYSCORE', ends, '-inf', time)
redis.call('ZADD', ends, time + lifetime, key)
local surplus = redis.call('ZCARD', ends) - most
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', ends, surplus)
  for i = 1, #oldest, 2 do
    redis.call('DEL', oldest[i])
  end
end
return 0
