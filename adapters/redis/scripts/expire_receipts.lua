-- Deletes receipts whose time is over.
local receipts, order = KEYS[1], KEYS[2]
local longest, overhead = tonumber(ARGV[1]), tonumber(ARGV[2])

if sound_receipts(receipts, order) then
  expire_receipts(receipts, order, now(), longest, overhead)
else
  redis.call('DEL', receipts, order)
end
return 0
