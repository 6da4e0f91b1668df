-- What the scripts share; each is preceded by it.
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

-- count returns how many events an entry counts as. One that is not ours was
-- never counted.
local function count(fields)
  if #fields ~= 8 or fields[3] ~= 'n' or not string.match(fields[4], '^%d+$') then
    return 0
  end
  return tonumber(fields[4])
end

-- announce wakes one waiting worker, now or when it begins to wait.
local function announce(arrivals)
  if redis.call('LLEN', arrivals) == 0 then
    redis.call('LPUSH', arrivals, '1')
  end
end

-- fits tells whether so many events more are within the bound.
local function fits(size, events, most)
  return (redis.call('GET', size) or 0) + events <= tonumber(most)
end

-- append puts a batch at the end of the queue.
local function append(stream, size, arrivals, id, n, t, b)
  redis.call('XADD', stream, '*', 'id', id, 'n', n, 't', t, 'b', b)
  redis.call('INCRBY', size, n)
  announce(arrivals)
end

-- remove takes an entry out of the queue, if it is there. An empty queue has no
-- events, whatever was counted.
local function remove(stream, size, entry, n)
  redis.call('XACK', stream, GROUP, entry)
  if redis.call('XDEL', stream, entry) == 0 then
    return
  end
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', size)
  elseif redis.call('DECRBY', size, n) < 0 then
    redis.call('SET', size, 0)
  end
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

-- hand makes a worker the holder of an entry that was handed out so often.
local function hand(stream, worker, entry, attempts)
  redis.call('XCLAIM', stream, GROUP, worker, 0, entry,
    'RETRYCOUNT', attempts, 'FORCE', 'JUSTID', 'LASTID', entry)
end

-- alive tells whether a worker has shown itself in time.
local function alive(workers, worker, time)
  return tonumber(redis.call('ZSCORE', workers, worker) or 0) > time
end
