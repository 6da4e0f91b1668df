-- Returns the number of batches, of events and of dead letters, when the oldest
-- batch was received, or an empty text, and the number and bytes of receipts.
local stream, size, dead, receipts, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
return {
  redis.call('XLEN', stream),
  counted(stream, size),
  redis.call('XLEN', dead),
  oldest and field(oldest[2], 't') or '',
  redis.call('ZCARD', order),
  natural(redis.call('HGET', receipts, 'bytes'), 15) or 0,
}
