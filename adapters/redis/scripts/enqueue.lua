-- Holds a batch if it fits. Returns held, full, or suspended.
local stream, size, arrivals, suspended = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local most, most_bytes, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

if redis.call('EXISTS', suspended) == 1 then
  return 'suspended'
end
return append(stream, size, arrivals, id, n, t, b, most, most_bytes) and 'held' or 'full'
