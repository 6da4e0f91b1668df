-- Forgets batches. The first argument says how many of the following are entries,
-- each with its events and the bytes of its payload; the others are ids of batches
-- whose entries the caller does not know.
local stream, size, settled = KEYS[1], KEYS[2], KEYS[3]
local known_end = 1 + 3 * ARGV[1]
local known = {}
for i = 2, known_end, 3 do
  known[#known + 1] = ARGV[i]
  known[#known + 1] = tonumber(ARGV[i + 1])
  known[#known + 1] = ARGV[i + 2] + OVERHEAD
end
remove_all(stream, size, settled, known)
if #ARGV > known_end then
  local wanted = {}
  for i = known_end + 1, #ARGV do
    wanted[ARGV[i]] = true
  end
  search(stream, wanted, function(entry, fields)
    remove(stream, size, settled, entry, count(fields))
  end)
end
return 0
