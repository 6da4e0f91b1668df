-- Deletes dead letters and returns how many there were.
local dead, names, dead_size = KEYS[1], KEYS[2], KEYS[3]
local deleted = 0
for _, name in ipairs(ARGV) do
  local letter = redis.call('HGET', names, name)
  if letter then
    deleted = deleted + drop_letter(dead, names, dead_size, name, letter)
  end
end
return deleted
