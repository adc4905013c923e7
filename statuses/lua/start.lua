-- Starts a job; one that already started is restarted: its attempt is archived in the same step.
-- KEYS[1] the segment's version (string); [2] codes of workers (hash).
-- ARGV[1..5] see row.lua; [6] "1" when sent a second time; [7] attempt or ''; [8] sources or ''; [9] worker or '';
-- [10] "1": a job that is killed or was asked to die does not start; [11] dictionary limit;
-- [12] "1": the start is a sign of life, more will follow.
-- With [10] a job that was killed while it waited is refused although it was removed since, as long as its segment stands: whoever
-- killed it meant the job, and tidied up afterwards.
-- Returns {1 changed | 0 not | -1 no such job | -2 refused, attempt, state}. A refused queued job is killed. Atomic.
-- What is seldom needed is included where it is: a function that is made and never called costs as much as one that is.
-- include row
-- include once
-- include enter
-- include codes
if not state then
  local killed = 0
  if ARGV[10] == '1' and OWN == '' and bytes_of(RN, ROW, 4) == RANDOM then
    local left = number(ST, ROW, 1)
    if left == 0 or left == 14 then killed = number(KILLED, ROW, 8) end
  end
  if killed > 0 and number(STARTED, ROW, 8) == 0 and number(QUEUED, ROW, 8) <= killed then return { -2, 0, 0 } end
  return { -1, 0, 0 }
end
if sent_before then return { 1, present_attempt(), state } end
if not allowed(ARGV[7], ARGV[8]) then return { 0, present_attempt(), state } end

local asked, spent = number(ASKED, ROW, 8), false
if asked > 0 then
-- include asked
  spent = is_spent(ROW)
end
if ARGV[10] == '1' and (state == 6 or asked > 0 and not spent) then
  if state <= 2 then
    local now, version = clock(FROZEN)
    touch(version, TOKEN)
    enter(ROW, state, 6, now)
    state = 6
  end
  return { -2, present_attempt(), state }
end

local again = number(STARTED, ROW, 8) > 0
if again and ARGV[7] ~= '' then return { 0, present_attempt(), state } end
local now, version = clock(FROZEN)
touch(version, TOKEN)
remember()
local attempt = present_attempt()
if again then
-- include fields
-- include archive
  attempt = archive(ROW)
end
if spent then
-- include forget
  forget_request(ROW)
end
local worker = code(KEYS[2], ARGV[9], ARGV[11])
if worker > 0 then put_new(WK, ROW, 4, worker) end
enter(ROW, state, 3, now, 0)
if ARGV[12] == '1' then put_new(HEARTBEAT, ROW, 8, now) end
return { 1, attempt, 3 }
