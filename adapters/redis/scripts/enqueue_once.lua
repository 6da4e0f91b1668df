-- Holds a batch and the receipt for it, unless there is a receipt already.
-- Returns what happened: held, full, suspended, known with the receipt, or secret with the
-- secret that keys are hashed with, when it is another than the caller's.
local stream, size, arrivals, secrets, receipts, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local suspended = KEYS[7]
local most, most_bytes, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local secret, key, receipt = ARGV[7], ARGV[8], ARGV[9]
local lifetime, longest, overhead = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local most_receipts, most_receipt_bytes = tonumber(ARGV[13]), tonumber(ARGV[14])

-- Everything that can fail is asked before the first write: a key that holds
-- something else fails when it is read, and a full memory fails the first SET.
local agreed = redis.call('GET', secrets)
if agreed and agreed ~= secret then
  return {'secret', agreed}
end
redis.call('XLEN', stream)
local time, sound = now(), sound_receipts(receipts, order)
local known = redis.call('HGET', receipts, key)
local earlier = sound and still_held(known, time, longest)
if earlier then
  return {'known', earlier}
end
if redis.call('EXISTS', suspended) == 1 then
  return {'suspended'}
end

redis.call('SET', secrets, secret, 'NX')
if not append(stream, size, arrivals, id, n, t, b, most, most_bytes) then
  return {'full'}
end
if not sound then
  redis.call('DEL', receipts, order)
  known = nil
end
if known then
  drop_receipt(receipts, order, key, known, overhead)
end
expire_receipts(receipts, order, time, longest, overhead)
-- Numbers instead of times: no two are equal, and no clock that is set back
-- makes the latest look like the first.
local latest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')
redis.call('ZADD', order, (latest[2] or 0) + 1, key)
redis.call('HSET', receipts, key, string.format('%.0f ', time + lifetime) .. receipt)
local bytes = redis.call('HINCRBY', receipts, 'bytes', #receipt + overhead)
local number = redis.call('ZCARD', order)
while number > most_receipts or bytes > most_receipt_bytes do
  local oldest = redis.call('ZRANGE', order, 0, 0)[1]
  bytes = drop_receipt(receipts, order, oldest, redis.call('HGET', receipts, oldest), overhead)
  number = number - 1
end
redis.call('PEXPIRE', receipts, lifetime)
redis.call('PEXPIRE', order, lifetime)
return {'held'}
