-- Ends the job at `now`, from `state` to `target`: a success's progress, and as `enter` of enter.lua the first end's moment, the run
-- time and the state.
if target == 4 then call('HSET', J, 'g', '1') end
local ends, ended_at = target == 4 and SUCCEEDED or target == 5 and FAILED or KILLED, now
local END_8 = string.format('%d', AT * 8 + 7)
local first = call('GETRANGE', P .. ends, AT_8, END_8)
if first ~= '' and first ~= NONE then
  ended_at = struct.unpack('<I8', first)
elseif call('SETRANGE', P .. ends, AT_8, MOMENT) < CELLS * 8 then
-- include cell
  put_new(ends, ROW, 8, now)
end
local started, span = call('GETRANGE', P .. STARTED, AT_8, END_8), 0
if started ~= '' and started ~= NONE then
  started = struct.unpack('<I8', started)
  if ended_at >= started then span = ended_at - started + 1 end
end
-- A job that had not ended has no run time yet: no need to write another zero.
if span > 0 or state >= 4 and state <= 6 then call('SETRANGE', P .. RUN, AT_8, pack('<I8', span)) end
call('SETRANGE', P .. ST, AT_1, string.char(target))
