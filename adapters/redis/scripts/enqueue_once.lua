-- Holds a batch and the receipt for it, unless there is a receipt already.
-- Returns what happened: held, full, known with the receipt, or secret with
-- the secret that keys are hashed with, when it is another than the caller's.
local stream, size, arrivals, secrets, receipts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local secret, receipt, time, expires = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

redis.call('SET', secrets, secret, 'NX')
local agreed = redis.call('GET', secrets)
if agreed ~= secret then
  return {'secret', agreed}
end
local known = redis.call('GET', receipts)
if known then
  local ends, earlier = string.match(known, '^(%d+) (.*)$')
  if ends and tonumber(ends) > tonumber(time) then
    return {'known', earlier}
  end
end
if not fits(stream, size, n, most) then
  return {'full'}
end
append(stream, size, arrivals, id, n, t, b)
redis.call('SET', receipts, expires .. ' ' .. receipt, 'PX', math.ceil((expires - time) / 1000))
return {'held'}
