-- An engine queued a job again: what it was is archived at once, the new attempt waits from now on.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] "1" when sent a second time; [7] attempt or ''; [8] sources or '';
-- [9] code of the state it waits in: queued, or unqueued while it is not due;
-- [10] "1": it ran, whether its start was told or not; [11] "1": it failed, unless it ended already;
-- [12] "1": a request to die is forgotten, whether it was spent or not.
-- Returns {1 changed | 0 not | -1 no such job, attempt}. A job that neither started nor ended only enters that state. Atomic.
-- include row
local AGAIN = ARGV[6]
-- include once
-- include fields
-- include enter
-- include asked
-- include forget
-- include archive
if not state then return { -1, 0 } end
if sent_before then return { 1, present_attempt() } end
if not allowed(ARGV[7], ARGV[8]) then return { 0, present_attempt() } end

local ran = ARGV[10] == '1' or ended(state) or number(STARTED, ROW, 8) > 0
local target = tonumber(ARGV[9])
if not ran and state == target then return { 0, present_attempt() } end
local now, version = clock(FROZEN)
local spent = is_spent(ROW) or ARGV[12] == '1' and number(ASKED, ROW, 8) > 0
-- include sign
if ran then
  if ARGV[11] == '1' and not ended(state) then enter(ROW, state, 5, now) end
  archive(ROW)
  put(QUEUED, ROW, 8, 0)
end
if spent then forget_request(ROW) end
enter(ROW, target, target, now)
return { 1, present_attempt() }
