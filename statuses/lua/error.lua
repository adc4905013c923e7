-- One more error of the present attempt; the last one decides the error group.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] "1" when sent a second time; [7] the error's JSON; [8] its group; [9] its summary;
-- [10] dictionary limit; [11] the token as 16 hexadecimal digits; [12] attempt or ''.
-- Returns 1; 0 another attempt; -1 no such job. Atomic: whoever else appends, no error is lost.
-- include row
-- include fields
-- include family
-- include codes
if not state then return -1 end
local L, E = P .. 'l' .. ARGV[3], P .. 'e' .. ARGV[3]
if not allowed(ARGV[12], '') then return 0 end
if ARGV[6] == '1' and string.find(call('GET', E) or '', ARGV[11] .. ARGV[7] .. '\n', 1, true) then return 1 end
local _, version = clock(FROZEN)
touch(version, TOKEN)
call('APPEND', E, ARGV[11] .. ARGV[7] .. '\n')
set_field(J, L, 'o', ARGV[9])
put_new(ER, ROW, 4, code(T .. 'errors', ARGV[8], ARGV[10]))
return 1
