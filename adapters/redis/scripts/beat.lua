-- Shows that a worker is alive, and forgets workers that are not and hold
-- nothing.
local stream, workers = KEYS[1], KEYS[2]
local me, lifetime = ARGV[1], tonumber(ARGV[2])

redis.call('ZREM', workers, '')
local time = now()
redis.call('ZADD', workers, time + lifetime, me)
redis.call('ZREMRANGEBYSCORE', workers, '-inf', time)
redis.call('ZREMRANGEBYSCORE', workers, string.format('(%.0f', time + LONGEST_LIFE), '+inf')
local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, GROUP)
if consumers.err then
  return 0 -- no stream or no group
end
for _, consumer in ipairs(consumers) do
  local name = field(consumer, 'name')
  if field(consumer, 'pending') == 0 and not alive(workers, name, time) then
    redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, name)
  end
end
return 0
