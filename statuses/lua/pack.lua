-- Leaves a segment the cells of its live rows alone, if nobody wrote to it since it was looked at.
-- KEYS frame; +1 tokens of last writes; +2.. posting lists.
-- ARGV[1] frozen microseconds or ''; [2] token (8 bytes); [3] the version that was looked at; [4] the rows that stay (u16,
-- ascending); [5] "1": nothing runs or waits here, the tokens may go; [6] the heartbeats that were looked at, '' for none (they
-- come without a new version; making a hash of them would hold the server longer than comparing all); then the cells of each
-- column of the frame, '' for one that holds nothing; then the entries of each posting list, '' for none.
-- Returns 1; 0 the segment is another by now. Atomic.
-- include frame
if (call('GET', V) or '') ~= ARGV[3] then return 0 end
if (call('GET', P .. HEARTBEAT) or '') ~= ARGV[6] then return 0 end
local _, version = clock(ARGV[1])

local function keep(key, bytes)
  if bytes == '' then call('UNLINK', key) else call('SET', key, bytes) end
end

for i = 4, FRAME - 1 do keep(KEYS[i], ARGV[i + 3]) end
for i = FRAME + 2, #KEYS do keep(KEYS[i], ARGV[i + 1]) end
if ARGV[5] == '1' then call('UNLINK', KEYS[FRAME + 1]) end
call('SET', P .. NUMBERS, ARGV[4])
call('SETRANGE', P .. Z, 136, struct.pack('<I8', #ARGV[4] / 2))
touch(version, ARGV[2])
return 1
