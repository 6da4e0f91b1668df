-- Gives back entries, if they are still in this worker's hands. The arguments
-- after the worker are pairs: an entry and the attempt for which it was handed
-- out; a later attempt is not given back.
local stream, arrivals = KEYS[1], KEYS[2]
local me = ARGV[1]
for i = 2, #ARGV, 2 do
  local holder, attempt = holding(stream, ARGV[i])
  if holder == me and attempt == tonumber(ARGV[i + 1]) then
    hand(stream, NOBODY, ARGV[i], attempt)
    announce(arrivals)
  end
end
return 0
