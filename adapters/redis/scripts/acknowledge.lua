-- Forgets batches. The first argument says how many of the following are pairs
-- of an entry and its events; the others are ids of batches whose entries the
-- caller does not know.
local stream, size, settled = KEYS[1], KEYS[2], KEYS[3]
local pairs_end = 1 + 2 * ARGV[1]
for i = 2, pairs_end, 2 do
  remove(stream, size, settled, ARGV[i], tonumber(ARGV[i + 1]))
end
if #ARGV > pairs_end then
  local wanted = {}
  for i = pairs_end + 1, #ARGV do
    wanted[ARGV[i]] = true
  end
  search(stream, wanted, function(entry, fields)
    remove(stream, size, settled, entry, count(fields))
  end)
end
return 0
