-- Deletes dead letters and returns how many there were.
local dead, names = KEYS[1], KEYS[2]
local deleted = 0
for _, name in ipairs(ARGV) do
  local letter = redis.call('HGET', names, name)
  if letter then
    deleted = deleted + redis.call('XDEL', dead, letter)
    redis.call('HDEL', names, name)
  end
end
return deleted
