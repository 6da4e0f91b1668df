-- What the scripts share; each is preceded by it.
--
-- Redis takes nothing back that a script did before it failed. A script that
-- moves a batch therefore writes it in its new place before it deletes the old
-- one, and nothing that others may have written makes it fail in between.
--
-- A full memory stops commands that may need more of it, but only until a
-- script has written once. Those that empty the queue therefore begin with a
-- write that is always allowed: a full Redis can be drained.

-- The consumer group, and the consumer that stands for nobody: it holds what
-- was given back.
local GROUP, NOBODY = 'workers', 'nobody'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- field returns a field of an entry, or nil.
local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
end

-- natural returns the number that a text of at most so many digits is, or nil.
local function natural(text, digits)
  if type(text) == 'string' and #text <= digits and string.match(text, '^%d+$') then
    return tonumber(text)
  end
end

-- OVERHEAD is what a batch takes beside its payload: domain.BatchOverhead.
local OVERHEAD = 256

-- count returns how many events and bytes an entry counts as. One that is not
-- ours was never counted.
local function count(fields)
  if #fields ~= 8 or fields[3] ~= 'n' then
    return 0, 0
  end
  return natural(fields[4], 9) or 0, #fields[8] + OVERHEAD
end

-- recount adds up the events and bytes of the whole queue.
local function recount(stream)
  local from, events, bytes, entries = '-', 0, 0, nil
  repeat
    entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    for _, e in ipairs(entries) do
      from = '(' .. e[1]
      local n, b = count(e[2])
      events, bytes = events + n, bytes + b
    end
  until #entries == 0
  return events, bytes
end

-- counted returns how many events and bytes the queue has. A counter that holds
-- no such numbers is not believed; the next one to write it puts it right.
local function counted(stream, size)
  local kept = redis.pcall('GET', size)
  if type(kept) == 'string' then
    local n, b = string.match(kept, '^(%d+) (%d+)$')
    local events, bytes = natural(n, 15), natural(b, 15)
    if events and bytes then
      return events, bytes
    end
  end
  return recount(stream)
end

local function set_size(size, events, bytes)
  redis.call('SET', size, string.format('%.0f %.0f', events, bytes))
end

-- announce wakes one waiting worker, now or when it begins to wait.
local function announce(arrivals)
  local waiting = redis.pcall('LLEN', arrivals)
  if type(waiting) ~= 'number' then
    redis.call('DEL', arrivals) -- no list
    waiting = 0
  end
  if waiting == 0 then
    redis.call('LPUSH', arrivals, '1')
  end
end

-- append puts a batch at the end of the queue, if it is within the bounds then, and
-- reports whether it is.
local function append(stream, size, arrivals, id, n, t, b, most, most_bytes)
  local events, bytes = counted(stream, size)
  events, bytes = events + n, bytes + #b + OVERHEAD
  if events > tonumber(most) or bytes > tonumber(most_bytes) then
    return false
  end
  redis.call('XADD', stream, '*', 'id', id, 'n', n, 't', t, 'b', b)
  set_size(size, events, bytes)
  announce(arrivals)
  return true
end

-- CHUNK is how many entries one command is about: Lua passes no more than some
-- thousands of arguments.
local CHUNK = 1000

-- remove_all takes entries out of the queue, as far as they are there. The list has
-- of each one its name, its events and its bytes. An empty queue has no events,
-- whatever was counted. When that was is kept under settled.
local function remove_all(stream, size, settled, list)
  for from = 1, #list, 3 * CHUNK do
    local entries, n, b = {}, 0, 0
    for i = from, math.min(from + 3 * CHUNK, #list + 1) - 1, 3 do
      entries[#entries + 1] = list[i]
      n, b = n + list[i + 1], b + list[i + 2]
    end
    redis.call('XACK', stream, GROUP, unpack(entries))
    local events, bytes = counted(stream, size)
    local deleted = redis.call('XDEL', stream, unpack(entries))
    if deleted > 0 then
      redis.call('SET', settled, now())
      if redis.call('XLEN', stream) == 0 then
        redis.call('DEL', size)
      elseif deleted < #entries or events < n or bytes < b then
        set_size(size, recount(stream))
      else
        set_size(size, events - n, bytes - b)
      end
    end
  end
end

-- remove takes an entry of so many events and bytes out of the queue, if it is
-- there.
local function remove(stream, size, settled, entry, n, b)
  remove_all(stream, size, settled, {entry, n, b})
end

-- holding returns who holds an entry and how often it was handed out, or nil.
local function holding(stream, entry)
  local pending = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)
  if pending.err or not pending[1] then
    return nil, 0
  end
  return pending[1][2], pending[1][4]
end

-- search calls found with each entry of the batches whose ids are wanted. It
-- looks at the whole queue, for ids of which the caller knows no entry.
local function search(stream, wanted, found)
  local from, entries = '-', nil
  repeat
    entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    for _, e in ipairs(entries) do
      from = '(' .. e[1]
      local id = field(e[2], 'id')
      if id and wanted[id] then
        found(e[1], e[2])
      end
    end
  until #entries == 0
end

-- laterFormat returns the format of an entry's payload when it is newer than the
-- caller's, or nil. Formats are below 32, which no text begins with.
local function laterFormat(fields, format)
  local found = string.byte(field(fields, 'b') or '')
  if found and found > format and found < 32 then
    return found
  end
end

-- hand makes a worker the holder of an entry that was handed out so often.
local function hand(stream, worker, entry, attempts)
  redis.call('XCLAIM', stream, GROUP, worker, 0, entry,
    'RETRYCOUNT', attempts, 'FORCE', 'JUSTID', 'LASTID', entry)
end

-- hand_all makes a worker the holder of entries in their order, none of which was
-- handed out before.
local function hand_all(stream, worker, entries)
  for from = 1, #entries, CHUNK do
    local to = math.min(from + CHUNK - 1, #entries)
    local command = {'XCLAIM', stream, GROUP, worker, 0}
    for i = from, to do
      command[#command + 1] = entries[i]
    end
    for _, word in ipairs({'RETRYCOUNT', 1, 'FORCE', 'JUSTID', 'LASTID', entries[to]}) do
      command[#command + 1] = word
    end
    redis.call(unpack(command))
  end
end

-- LONGEST_LIFE is longer than any heartbeat, in milliseconds. A worker that
-- counts as alive for longer showed itself before the server's clock was set
-- back.
local LONGEST_LIFE = 600000

-- alive tells whether a worker has shown itself in time.
local function alive(workers, worker, time)
  local ends = tonumber(redis.call('ZSCORE', workers, worker) or 0)
  return ends > time and ends <= time + LONGEST_LIFE
end

-- Receipts are a hash: under the hash of each idempotency key when the receipt
-- ends and itself, and under "bytes", which no hash of a key is, how much they
-- take together. Beside it stands their order, from the oldest on.

-- sound_receipts reports whether hash and order agree. When somebody has meddled
-- with one of them they are worth nothing.
local function sound_receipts(receipts, order)
  local number, fields = redis.call('ZCARD', order), redis.call('HLEN', receipts)
  if number == 0 then
    return fields == 0
  end
  return fields == number + 1 and natural(redis.call('HGET', receipts, 'bytes'), 15) ~= nil
end

-- parse_receipt returns when a receipt ends, and itself.
local function parse_receipt(kept)
  local ends, receipt = string.match(kept, '^(%d+) (.*)$')
  return tonumber(ends or 0), receipt or ''
end

-- is_over reports whether the time of a receipt is over, or was set by a clock
-- that was wrong.
local function is_over(ends, time, longest)
  return ends <= time or ends > time + longest
end

-- still_held returns the receipt in what is kept under a key, or nil when nothing
-- is or its time is over.
local function still_held(kept, time, longest)
  if kept then
    local ends, receipt = parse_receipt(kept)
    if not is_over(ends, time, longest) then
      return receipt
    end
  end
end

-- drop_receipt deletes a receipt and returns how many bytes the others take.
-- The last one takes the counter along.
local function drop_receipt(receipts, order, key, kept, overhead)
  redis.call('HDEL', receipts, key)
  redis.call('ZREM', order, key)
  if redis.call('EXISTS', order) == 0 then
    redis.call('DEL', receipts)
    return 0
  end
  local _, receipt = parse_receipt(kept or '')
  return redis.call('HINCRBY', receipts, 'bytes', -#receipt - overhead)
end

-- expire_receipts deletes the oldest receipts as far as their time is over, up
-- to a thousand.
local function expire_receipts(receipts, order, time, longest, overhead)
  for _ = 1, 1000 do
    local key = redis.call('ZRANGE', order, 0, 0)[1]
    local kept = key and redis.call('HGET', receipts, key)
    if not key or kept and not is_over((parse_receipt(kept)), time, longest) then
      return
    end
    drop_receipt(receipts, order, key, kept, overhead)
  end
end

-- letter_size is what a dead letter counts towards the bound.
local function letter_size(fields)
  local size = OVERHEAD
  for i = 2, #fields, 2 do
    size = size + #tostring(fields[i])
  end
  return size
end

-- dead_bytes returns how many bytes all dead letters take.
local function dead_bytes(dead, dead_size)
  local bytes = natural(redis.pcall('GET', dead_size), 15)
  if bytes then
    return bytes
  end
  local from, entries = '-', nil
  bytes = 0
  repeat
    entries = redis.call('XRANGE', dead, from, '+', 'COUNT', 100)
    for _, e in ipairs(entries) do
      from = '(' .. e[1]
      bytes = bytes + letter_size(e[2])
    end
  until #entries == 0
  return bytes
end

-- drop_letter deletes a dead letter and returns 1, or 0 when it is not there.
local function drop_letter(dead, names, dead_size, name, letter)
  local found = redis.call('XRANGE', dead, letter, letter)[1]
  redis.call('HDEL', names, name)
  if not found then
    return 0
  end
  local bytes = dead_bytes(dead, dead_size) - letter_size(found[2])
  redis.call('XDEL', dead, letter)
  if redis.call('XLEN', dead) == 0 or bytes < 0 then
    redis.call('DEL', dead_size) -- a wrong one is counted anew
  else
    redis.call('SET', dead_size, string.format('%.0f', bytes))
  end
  return 1
end
