-- Moves an entry to the dead letters as it is, under a name of its own. Without
-- an entry it moves that of the batch with that name. When there are too many dead
-- letters the oldest are deleted; returns how many of them.
local stream, size, dead, names, dead_size, settled =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local entry, name, reason, time = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])

redis.call('HDEL', names, '')
if entry == '' then
  search(stream, {[name] = true}, function(found) entry = found end)
  if entry == '' then
    return 0
  end
end
local found = redis.call('XRANGE', stream, entry, entry)[1]
if not found then
  return 0
end
local fields = found[2]
local _, attempts = holding(stream, entry)
local events, bytes = count(fields)
local before = dead_bytes(dead, dead_size)
if #fields > 100 then
  fields = {'raw', cmsgpack.pack(fields)} -- a command cannot have any number of arguments
end
if name == '' or redis.call('HEXISTS', names, name) == 1 then
  name = entry
end
fields = {'name', name, 'reason', reason, 'attempts', attempts, 'buried', time, unpack(fields)}
local letter = redis.call('XADD', dead, '*', unpack(fields))
redis.call('HSET', names, name, letter)
local taken = before + letter_size(fields)
redis.call('SET', dead_size, string.format('%.0f', taken))
remove(stream, size, settled, entry, events, bytes)

local deleted = 0
while redis.call('XLEN', dead) > most or dead_bytes(dead, dead_size) > most_bytes do
  local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
  if not oldest then
    break
  end
  deleted = deleted + drop_letter(dead, names, dead_size, field(oldest[2], 'name') or '', oldest[1])
end
return deleted
