-- Takes a segment away in which no job is left, if nobody wrote to it since it was looked at.
-- KEYS frame; +1 meta (hash); +2.. the segment's other keys.
-- ARGV[1] the version that was looked at; [2] the first segment from now on, '' where it stays.
-- Returns 1; 0 the segment is another by now. Atomic.
-- include frame
local META = KEYS[FRAME + 1]
if (call('GET', V) or '') ~= ARGV[1] then return 0 end
for i = 1, #KEYS do
  if i ~= FRAME + 1 then call('UNLINK', KEYS[i]) end
end
local first = tonumber(call('HGET', META, 'first') or '0')
if ARGV[2] ~= '' and tonumber(ARGV[2]) > first then call('HSET', META, 'first', ARGV[2]) end
return 1
