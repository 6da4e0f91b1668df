-- Moves a dead letter back to the end of the queue. Returns held, full or gone.
local stream, size, arrivals, dead, names = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local name, letter = ARGV[6], ARGV[7]

if redis.call('HGET', names, name) ~= letter then
  return 'gone'
end
if not fits(stream, size, n, most) then
  return 'full'
end
redis.call('HDEL', names, '')
append(stream, size, arrivals, id, n, t, b)
redis.call('HDEL', names, name)
redis.call('XDEL', dead, letter)
return 'held'
