-- Returns the number of batches, of events and of dead letters, when the oldest
-- batch was received, or an empty text, the number and bytes of receipts, the
-- bytes of the queue, for how many milliseconds batches have waited and none was
-- settled, whether the way in is closed, and for how many milliseconds the oldest
-- batch has been there.
local stream, size, dead, receipts, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local settled, suspended = KEYS[6], KEYS[7]
local events, bytes = counted(stream, size)
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local waiting, age = 0, 0
if oldest then
  local since, at = tonumber(string.match(oldest[1], '^%d+')), now() -- one time: waiting is never above age
  age = math.max(0, at - since)
  waiting = math.max(0, at - math.max(since, natural(redis.pcall('GET', settled), 15) or 0))
end
return {
  redis.call('XLEN', stream),
  events,
  redis.call('XLEN', dead),
  oldest and field(oldest[2], 't') or '',
  redis.call('ZCARD', order),
  natural(redis.call('HGET', receipts, 'bytes'), 15) or 0,
  bytes,
  waiting,
  redis.call('EXISTS', suspended),
  age,
}
