-- Ends an attempt that was archived before its end was told: its broker had handed the job out once more while that run went on.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] the attempt; [7] target code (4, 5 or 6); [8] microseconds since that was so, '' for now; [9] data or '',
-- kept only where there is none; [10] the error's JSON or ''; [11] its group; [12] its summary; [13] dictionary limit; [14] the token as
-- 16 hexadecimal digits.
-- Returns 1 changed; 0 no such attempt, or one that has ended; -1 no such job. Atomic. The present attempt stays as it is, and so does
-- the segment's version: no query finds what is archived.
-- include row
-- include fields
-- include family
-- include codes
if not state then return -1 end
local A = P .. 'a' .. ROW_TEXT .. ':' .. ARGV[6]
local kept = call('HGET', A, 'c')
if not kept then return 0 end
-- The cells in the order of archive.lua: state, six codes, ten moments and spans.
local LAYOUT = '<BI4I4I4I4I4I4I8I8I8I8I8I8I8I8I8I8'
local cells = { struct.unpack(LAYOUT, kept) }
if cells[1] >= 4 and cells[1] <= 6 then return 0 end
local target, started = tonumber(ARGV[7]), cells[10]
local now = clock(FROZEN)
now = math.max(now - (tonumber(ARGV[8]) or 0), started, cells[8])
cells[1], cells[7 + target] = target, now
if started > 0 then cells[16] = now - started + 1 end
if target == 4 then call('HSET', A, 'g', '1') end
if ARGV[9] ~= '' then call('SETNX', A .. 'd', ARGV[9]) end
if ARGV[10] ~= '' then
  call('APPEND', A .. 'e', ARGV[14] .. ARGV[10] .. '\n')
  call('HSET', A, 'o', ARGV[12])
  cells[7] = code(T .. 'errors', ARGV[11], ARGV[13])
end
call('HSET', A, 'c', struct.pack(LAYOUT, unpack(cells, 1, 17)))
return 1
