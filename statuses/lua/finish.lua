-- Ends an attempt, with what it ends with: nobody sees a failed job without its error, or a result of another attempt.
-- KEYS[1] the segment's version (string).
-- ARGV[1] see verb.lua, WHAT is the target code (4, 5 or 6); [2] microseconds since that was so, where it is told later; [3] own id;
-- [4] frozen; [5] data or '', kept only where there is none; [6] the error's JSON or ''; [7] its group; [8] its summary;
-- [9] the token as 16 hexadecimal digits; [10] '' or microseconds: only a job that gave a sign of life, and none for longer than that.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt, sources or a sign of life; -1 no such job. Atomic.
-- include keys
-- include family
-- include head
local SAID, OWN, FROZEN = ARGV[1], ARGV[3], ARGV[4]
local LATE, SILENT = ARGV[2] ~= '' and ARGV[2], ARGV[10]
-- include verb
local target = WHAT
if not state then return -1 end
if sent_before then return 1 end
-- include guard
if state == target or not allowed then return 0 end
local now, version
-- include clock
if SILENT ~= '' then
-- include cell
  local beat = number(HEARTBEAT, ROW, 8)
  if beat == 0 or now - beat <= tonumber(SILENT) then return 0 end
end
-- include late
-- include sign
if ARGV[5] ~= '' then call('SETNX', P .. 'd' .. ROW_TEXT, ARGV[5]) end
if ARGV[6] ~= '' then
  call('APPEND', P .. 'e' .. ROW_TEXT, ARGV[9] .. ARGV[6] .. '\n')
  -- The summary, as set_field of fields.lua.
  local into, out_of = J, P .. 'l' .. ROW_TEXT
  if #ARGV[8] > 64 then into, out_of = out_of, into end
  call('HSET', into, 'o', ARGV[8])
  call('HDEL', out_of, 'o')
  -- Below 0: not there or marked, see codes.lua.
  local groups = T .. 'errors'
  local group = ARGV[7] == '' and -1 or (call('HGET', groups, ARGV[7]) or -1) + 0
  if group < 0 or call('SETRANGE', P .. ER, AT_4, pack('<I4', group)) < CELLS * 4 then
-- include cell
-- include codes
    put_new(ER, ROW, 4, code(groups, ARGV[7], LIMIT))
  end
end
-- include ending
return 1
