-- Enters a state (any but started, see start.lua).
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] "1" when sent a second time; [7] target code; [8] attempt or ''; [9] sources or '';
-- [10] microseconds since that was so, where it is told later.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt or sources; -1 no such job. Atomic.
-- include job
-- include once
local target, ATTEMPT, SOURCES, LATE = ARGV[7] + 0, ARGV[8], ARGV[9], ARGV[10]
if not state then return -1 end
if sent_before then return 1 end
-- include guard
if state == target or not allowed then return 0 end
-- include clock
-- include late
-- include sign
if target >= 4 and target <= 6 then
  if target == 4 then call('HSET', J, 'g', '1') end
-- include ending
else
-- include cell
-- include enter
  if ended(state) then
-- include asked
-- include forget
    if is_spent(ROW) then forget_request(ROW) end
  end
  enter(ROW, state, target, now)
end
return 1
