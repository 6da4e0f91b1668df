-- Looks up the receipt under a key and writes nothing. Returns unknown, known with
-- the receipt, or secret with the secret that keys are hashed with, when it is
-- another than the caller's.
local secrets, receipts, order = KEYS[1], KEYS[2], KEYS[3]
local secret, key, longest = ARGV[1], ARGV[2], tonumber(ARGV[3])

local agreed = redis.call('GET', secrets)
if agreed and agreed ~= secret then
  return {'secret', agreed}
end
local earlier = sound_receipts(receipts, order) and still_held(redis.call('HGET', receipts, key), now(), longest)
if earlier then
  return {'known', earlier}
end
return {'unknown'}
