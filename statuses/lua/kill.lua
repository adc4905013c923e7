-- Asks a job to die; the state changes only where the job waits and ARGV[8] says so.
-- KEYS frame; +1..+5 the row's keys.
-- ARGV[1..5] see row.lua; [6] by or ''; [7] reason or ''; [8] "1": a job that waits is killed at once; [9] attempt or ''; [10] sources or ''.
-- Returns 1 asked; 2 killed; 0 was asked before; 3 has ended; 4 not allowed; -1 no such job. Atomic.
-- include frame
-- include row
-- include fields
-- include enter
local state = live()
if not state then return -1 end
if ended(state) then return 3 end
if not allowed(state, ARGV[9], ARGV[10]) then return 4 end
local asked = number(ASKED, ROW, 8) > 0
local ends = ARGV[8] == '1' and state <= 2
if asked and not ends then return 0 end
local now, version = clock(FROZEN)
touch(version, TOKEN)
if not asked then
  if ARGV[6] ~= '' then set_field(J, L, 'b', ARGV[6]) end
  if ARGV[7] ~= '' then set_field(J, L, 'y', ARGV[7]) end
  put_new(ASKED, ROW, 8, now)
end
if ends then
  enter(ROW, state, 6, now)
  return 2
end
return 1
