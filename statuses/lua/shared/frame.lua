-- The keys of one segment, declared by every script on rows in the order of statuses/columns.py,
-- and its cells by row.
local ROWS = 65520
local N, V, Z = KEYS[1], KEYS[2], KEYS[3]
local ST, RN, NM, US, QU = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local WK, EN, ER = KEYS[9], KEYS[10], KEYS[11]
local RECORDED, QUEUED, STARTED = KEYS[12], KEYS[13], KEYS[14]
local SUCCEEDED, FAILED, KILLED = KEYS[15], KEYS[16], KEYS[17]
local RUN, WAIT = KEYS[18], KEYS[19]
local ASKED, HEARTBEAT, KEEP, LOADED, GONE = KEYS[20], KEYS[21], KEYS[22], KEYS[23], KEYS[24]
local FRAME = 24
local call = redis.call

local function number(key, row, width)
  local bytes = call('GETRANGE', key, row * width, row * width + width - 1)
  if #bytes < width then return 0 end
  return (struct.unpack('<I' .. width, bytes))
end

local function put(key, row, width, value)
  call('SETRANGE', key, row * width, struct.pack('<I' .. width, value))
end

-- A column that is made on first use, in its full length: growing bit by bit would double its memory.
local function put_new(key, row, width, value)
  if call('STRLEN', key) == 0 then
    if value == 0 then return end
    call('SETRANGE', key, ROWS * width - 1, '\0')
  end
  put(key, row, width, value)
end

-- frozen: microseconds or ''. Returns the moment of this write and the segment's next version;
-- a running clock never goes back within a segment, and no two of its writes share a moment.
local function clock(frozen)
  local last = struct.unpack('<I8', call('GET', V))
  if frozen == '' then
    local time = call('TIME')
    local now = math.max(time[1] * 1000000 + time[2], last + 1)
    return now, now
  end
  local now = tonumber(frozen)
  if now < (struct.unpack('<I8', call('GETRANGE', Z, 0, 7))) then
    call('SETRANGE', Z, 0, struct.pack('<I8', now))
  end
  return now, math.max(now, last + 1)
end

local function touch(version, token)
  call('SET', V, struct.pack('<I8', version) .. token)
end
