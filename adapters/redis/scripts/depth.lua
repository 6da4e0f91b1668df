-- Returns the number of batches, of events and of dead letters, and when the
-- oldest batch was received, or an empty text.
local stream, size, dead = KEYS[1], KEYS[2], KEYS[3]
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
return {
  redis.call('XLEN', stream),
  counted(stream, size),
  redis.call('XLEN', dead),
  oldest and field(oldest[2], 't') or '',
}
