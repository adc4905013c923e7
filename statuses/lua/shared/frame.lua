-- The keys of one segment, declared by every script on rows in the order of statuses/columns.py,
-- and its cells by row. In the headers `+n` is KEYS[FRAME + n], the keys after these.
local ROWS = 65520
local N, V, Z = KEYS[1], KEYS[2], KEYS[3]
local ST, RN, NM, US, QU = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local WK, EN, ER = KEYS[9], KEYS[10], KEYS[11]
local RECORDED, QUEUED, STARTED = KEYS[12], KEYS[13], KEYS[14]
local SUCCEEDED, FAILED, KILLED = KEYS[15], KEYS[16], KEYS[17]
local RUN, WAIT = KEYS[18], KEYS[19]
local ASKED, HEARTBEAT, KEEP, LOADED, GONE = KEYS[20], KEYS[21], KEYS[22], KEYS[23], KEYS[24]
local ATTEMPTS, NUMBERS = KEYS[25], KEYS[26]
local FRAME = 26
local call = redis.call

-- A packed segment keeps the cells of its live rows alone; this is their rows (u16, ascending). False elsewhere.
local PACKED = call('GET', NUMBERS)
local CELLS = PACKED and #PACKED / 2 or ROWS
local found_row, found_cell

-- Where a row's cells are; behind the last cell for a row that a packed segment no longer holds.
local function cell(row)
  if not PACKED then return row end
  if row == found_row then return found_cell end
  local low, high, seen = 0, CELLS, nil
  while low < high do
    local middle = math.floor((low + high) / 2)
    seen = struct.unpack('<I2', PACKED, middle * 2 + 1)
    if seen == row then
      low = middle
      break
    elseif seen < row then
      low = middle + 1
    else
      high = middle
    end
  end
  found_row, found_cell = row, seen == row and low or CELLS
  return found_cell
end

-- A row's bytes in a column, '' where there are none.
local function bytes_of(key, row, width)
  local first = cell(row) * width
  return call('GETRANGE', key, first, first + width - 1)
end

local function number(key, row, width)
  local bytes = bytes_of(key, row, width)
  if #bytes < width then return 0 end
  return (struct.unpack('<I' .. width, bytes))
end

local function put(key, row, width, value)
  call('SETRANGE', key, cell(row) * width, struct.pack('<I' .. width, value))
end

-- A column that is made on first use, in its full length: growing bit by bit would double its memory.
local made = {}
local function put_new(key, row, width, value)
  if not made[key] then
    if call('STRLEN', key) == 0 then
      if value == 0 then return end
      call('SETRANGE', key, CELLS * width - 1, '\0')
    end
    made[key] = true
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
