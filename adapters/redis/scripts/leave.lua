-- Ends a worker: what it holds is given back.
local stream, workers, arrivals = KEYS[1], KEYS[2], KEYS[3]
local me = ARGV[1]

redis.call('ZREM', workers, me)
while true do
  local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1000, me)
  if held.err then
    return 0 -- no stream or no group
  end
  if #held == 0 then
    break
  end
  for _, p in ipairs(held) do
    hand(stream, NOBODY, p[1], p[4])
  end
  announce(arrivals)
end
redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, me)
return 0
