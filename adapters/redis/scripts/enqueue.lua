-- Holds a batch if it fits. Returns 1 or, when it does not fit, 0.
local stream, size, arrivals = KEYS[1], KEYS[2], KEYS[3]
local most, id, n, t, b = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if not fits(stream, size, n, most) then
  return 0
end
append(stream, size, arrivals, id, n, t, b)
return 1
