-- Agrees on a key by its id: the one that is agreed on stays, unless there is
-- none, or it is the one to replace. Returns the id and for how many
-- milliseconds it holds.
local agreed = KEYS[1]
local replaced, offered, lifetime = ARGV[1], ARGV[2], tonumber(ARGV[3])

local id, left = redis.call('GET', agreed), redis.call('PTTL', agreed)
if id and id ~= replaced and left > 0 and left <= lifetime then
  return {id, left}
end
redis.call('SET', agreed, offered, 'PX', lifetime)
return {offered, lifetime}
