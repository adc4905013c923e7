-- Ends an attempt, with what it ends with: nobody sees a failed job without its error, or a result of another attempt.
-- KEYS[1] the segment's version (string); [2] codes of error groups (hash).
-- ARGV[1..5] see job.lua; [6] "1" when sent a second time; [7] target code (4, 5 or 6); [8] attempt or ''; [9] sources or '';
-- [10] data or '', kept only where there is none; [11] the error's JSON or ''; [12] its group; [13] its summary;
-- [14] dictionary limit; [15] the token as 16 hexadecimal digits; [16] '' or microseconds: only a job that gave a sign
-- of life, and none for longer than that; [17] microseconds since that was so, where it is told later.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt, sources or a sign of life; -1 no such job. Atomic.
-- include job
-- include once
local target, ATTEMPT, SOURCES, LATE = ARGV[7] + 0, ARGV[8], ARGV[9], ARGV[17]
if not state then return -1 end
if sent_before then return 1 end
-- include guard
if state == target or not allowed then return 0 end
-- include clock
if ARGV[16] ~= '' then
-- include cell
  local beat = number(HEARTBEAT, ROW, 8)
  if beat == 0 or now - beat <= tonumber(ARGV[16]) then return 0 end
end
-- include late
-- include sign
if ARGV[10] ~= '' then call('SETNX', P .. 'd' .. ROW_TEXT, ARGV[10]) end
if ARGV[11] ~= '' then
  call('APPEND', P .. 'e' .. ROW_TEXT, ARGV[15] .. ARGV[11] .. '\n')
  -- The summary, as set_field of fields.lua.
  local into, out_of = J, P .. 'l' .. ROW_TEXT
  if #ARGV[13] > 64 then into, out_of = out_of, into end
  call('HSET', into, 'o', ARGV[13])
  call('HDEL', out_of, 'o')
  -- Below 0: not there or marked, see codes.lua.
  local group = ARGV[12] == '' and -1 or (call('HGET', KEYS[2], ARGV[12]) or -1) + 0
  if group < 0 or call('SETRANGE', P .. ER, AT_4, pack('<I4', group)) < CELLS * 4 then
-- include cell
-- include codes
    put_new(ER, ROW, 4, code(KEYS[2], ARGV[12], ARGV[14]))
  end
end
if target == 4 then call('HSET', J, 'g', '1') end
-- include ending
return 1
