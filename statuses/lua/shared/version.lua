-- The version of the segment: its moment, and the token of the write that made it.
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
  if now < (struct.unpack('<I8', call('GETRANGE', P .. Z, 0, 7))) then
    call('SETRANGE', P .. Z, 0, struct.pack('<I8', now))
  end
  return now, math.max(now, last + 1)
end

local function touch(version, token)
  -- In place: SET would make another object.
  call('SETRANGE', V, '0', struct.pack('<I8', version) .. token)
end
