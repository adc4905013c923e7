-- The start of a job; SAID, see verb.lua: WHAT is 1 where a job that is killed or was asked to die does not start, plus 2 where the
-- start is a sign of life, and more will follow; TEXT is the worker, or nothing. `now` and `version` where the moment is known.
-- With 1 a job that was killed while it waited is refused although it was removed since, as long as its segment stands: whoever
-- killed it meant the job, and tidied up afterwards.
-- Returns the attempt that started, a number: a table costs as much as a command;
-- {0 not changed | -1 no such job | -2 refused, attempt, state}. A refused queued job is killed.
-- What is seldom needed is included where it is, see keys.lua.
-- include verb
local refuses = WHAT % 2 == 1
if not state then
-- include cell
  local killed = 0
  if refuses and OWN == '' and bytes_of(RN, ROW, 4) == RANDOM then
    local left = number(ST, ROW, 1)
    if left == 0 or left == 14 then killed = number(KILLED, ROW, 8) end
  end
  if killed > 0 and number(STARTED, ROW, 8) == 0 and number(QUEUED, ROW, 8) <= killed then return { -2, 0, 0 } end
  return { -1, 0, 0 }
end
local attempt = (call('HGET', J, 'n') or 0) + 0
if sent_before then return attempt end
if ATTEMPT >= 0 and ATTEMPT ~= attempt or SOURCES % 2 ^ (state + 1) < 2 ^ state then return { 0, attempt, state } end

local END_8, spent = string.format('%d', AT * 8 + 7), false
local asked = call('GETRANGE', P .. ASKED, AT_8, END_8)
if asked == NONE then asked = '' end
if asked ~= '' and state >= 4 and state <= 6 then
-- include cell
-- include enter
-- include asked
  spent = is_spent(ROW)
end
if refuses and (state == 6 or asked ~= '' and not spent) then
  if state <= 2 then
-- include cell
-- include version
-- include enter
    local now, version = clock(FROZEN)
    touch(version, TOKEN)
    enter(ROW, state, 6, now)
    state = 6
  end
  return { -2, attempt, state }
end

local started = P .. STARTED
local before = call('GETRANGE', started, AT_8, END_8)
local again = before ~= '' and before ~= NONE
if again and ATTEMPT >= 0 then return { 0, attempt, state } end
if not now then
-- include clock
end
-- include sign
if again then
-- include cell
-- include attempt
-- include fields
-- include archive
  attempt = archive(ROW)
end
if spent then
-- include cell
-- include forget
  forget_request(ROW)
end
local worker_text = string.sub(SAID, REST)
if worker_text ~= '' then
  -- Below 0: not there or marked, see codes.lua.
  local worker = (call('HGET', T .. 'workers', worker_text) or -1) + 0
  if worker < 0 or call('SETRANGE', P .. WK, AT_4, pack('<I4', worker)) < CELLS * 4 then
-- include cell
-- include codes
    put_new(WK, ROW, 4, code(T .. 'workers', worker_text, LIMIT))
  end
end
if call('SETRANGE', started, AT_8, MOMENT) < CELLS * 8 then
-- include cell
  put_new(STARTED, ROW, 8, now)
end
local since, wait = call('GETRANGE', P .. QUEUED, AT_8, END_8), 0
if since == '' or since == NONE then since = call('GETRANGE', P .. RECORDED, AT_8, END_8) end
if since ~= '' and since ~= NONE then
  since = struct.unpack('<I8', since)
  if now >= since then wait = now - since + 1 end
end
call('SETRANGE', P .. WAIT, AT_8, pack('<I8', wait))
-- Only what was ended has a run time.
if state >= 4 and state <= 6 then call('SETRANGE', P .. RUN, AT_8, NONE) end
if WHAT >= 2 and call('SETRANGE', P .. HEARTBEAT, AT_8, MOMENT) < CELLS * 8 then
-- include cell
  put_new(HEARTBEAT, ROW, 8, now)
end
call('SETRANGE', P .. ST, AT_1, '\3')
return attempt
