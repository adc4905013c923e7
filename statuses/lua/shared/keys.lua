-- The keys of one segment, declared by every script on rows in the order of statuses/columns.py, and its version.
-- In the headers `+n` is KEYS[FRAME + n], the keys after these.
-- What stands here and in cell.lua runs with every write: each function made costs as much as a third of a command, and a
-- number handed to a command is turned into text first.
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

-- PACKED: a packed segment keeps the cells of its live rows alone; this is their rows (u16, ascending). False elsewhere.
-- VERSION: as it was when the script began. False where there is no such segment.
local PACKED, VERSION = unpack(call('MGET', NUMBERS, V))
local CELLS = PACKED and #PACKED / 2 or ROWS

-- frozen: microseconds or ''. Returns the moment of this write and the segment's next version;
-- a running clock never goes back within a segment, and no two of its writes share a moment.
local function clock(frozen)
  local last = struct.unpack('<I8', VERSION)
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
