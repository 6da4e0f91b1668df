-- Moves an entry to the dead letters as it is, under a name of its own. Without
-- an entry it moves that of the batch with that name. Returns 1, or 0 when it
-- is not there.
local stream, size, dead, names, settled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local entry, name, reason, time = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

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
local events = count(fields)
if #fields > 100 then
  fields = {'raw', cmsgpack.pack(fields)} -- a command cannot have any number of arguments
end
if name == '' or redis.call('HEXISTS', names, name) == 1 then
  name = entry
end
local letter = redis.call('XADD', dead, '*',
  'name', name, 'reason', reason, 'attempts', attempts, 'buried', time, unpack(fields))
redis.call('HSET', names, name, letter)
remove(stream, size, settled, entry, events)
return 1
