-- Ends an attempt, with what it ends with: nobody sees a failed job without its error, or a result of another attempt.
-- KEYS[1] the segment's version (string); [2] codes of error groups (hash).
-- ARGV[1..5] see row.lua; [6] "1" when sent a second time; [7] target code; [8] attempt or ''; [9] sources or '';
-- [10] data or '', kept only where there is none; [11] the error's JSON or ''; [12] its group; [13] its summary;
-- [14] dictionary limit; [15] the token as 16 hexadecimal digits; [16] '' or microseconds: only a job that gave a sign
-- of life, and none for longer than that; [17] microseconds since that was so, where it is told later.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt, sources or a sign of life; -1 no such job. Atomic.
-- include row
-- include once
-- include enter
local target = tonumber(ARGV[7])
if not state then return -1 end
if sent_before then return 1 end
if state == target or not allowed(ARGV[8], ARGV[9]) then return 0 end
local now, version = clock(FROZEN)
if ARGV[16] ~= '' then
  local beat = number(HEARTBEAT, ROW, 8)
  if beat == 0 or now - beat <= tonumber(ARGV[16]) then return 0 end
end
touch(version, TOKEN)
remember()
if ARGV[10] ~= '' then call('SETNX', P .. 'd' .. ARGV[3], ARGV[10]) end
if ARGV[11] ~= '' then
-- include fields
-- include codes
  call('APPEND', P .. 'e' .. ARGV[3], ARGV[15] .. ARGV[11] .. '\n')
  set_field(J, P .. 'l' .. ARGV[3], 'o', ARGV[13])
  put_new(ER, ROW, 4, code(KEYS[2], ARGV[12], ARGV[14]))
end
if target == 4 then call('HSET', J, 'g', '1') end
if ARGV[17] then now = now - ARGV[17] end
enter(ROW, state, target, now)
return 1
