-- Asks a job to die; the state changes only where the job waits and ARGV[9] says so.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] "1" when sent a second time; [7] by or ''; [8] reason or '';
-- [9] "1": a job that waits is killed at once; [10] attempt or ''; [11] sources or ''.
-- Returns 1 asked; 2 killed; 0 was asked before; 3 has ended; 4 not allowed; -1 no such job. Atomic.
-- include row
local AGAIN = ARGV[6]
-- include once
-- include fields
-- include enter
if not state then return -1 end
local L = P .. 'l' .. ARGV[3]
if sent_before then return state == 6 and 2 or 1 end
if ended(state) then return 3 end
if not allowed(ARGV[10], ARGV[11]) then return 4 end
local asked = number(ASKED, ROW, 8) > 0
local ends = ARGV[9] == '1' and state <= 2
if asked and not ends then return 0 end
local now, version = clock(FROZEN)
-- include sign
if not asked then
  if ARGV[7] ~= '' then set_field(J, L, 'b', ARGV[7]) end
  if ARGV[8] ~= '' then set_field(J, L, 'y', ARGV[8]) end
  put_new(ASKED, ROW, 8, now)
end
if ends then
  enter(ROW, state, 6, now)
  return 2
end
return 1
