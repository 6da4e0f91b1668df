-- Moves a dead letter back to the end of the queue. Returns held, full or gone.
local stream, size, arrivals, dead, names, dead_size = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local most, most_bytes, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local name, letter = ARGV[7], ARGV[8]

if redis.call('HGET', names, name) ~= letter then
  return 'gone'
end
redis.call('HDEL', names, '')
if not append(stream, size, arrivals, id, n, t, b, most, most_bytes) then
  return 'full'
end
drop_letter(dead, names, dead_size, name, letter)
return 'held'
