-- The moment of this write, `now`, and the segment's next version, `version`: a running clock never goes back within a segment,
-- and no two of its writes share a moment. FROZEN: microseconds or ''.
local last = struct.unpack('<I8', VERSION)
if FROZEN == '' then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
  if now <= last then now = last + 1 end
  version = now
else
  now = tonumber(FROZEN)
  if now < (struct.unpack('<I8', call('GETRANGE', P .. Z, 0, 7))) then
    call('SETRANGE', P .. Z, 0, struct.pack('<I8', now))
  end
  version = math.max(now, last + 1)
end
