-- Hands out rows of a segment that load.lua fills; until then they hold no job.
-- KEYS frame.  ARGV[1] how many.
-- Returns {first row, how many}; {-1, 0} no such segment. Atomic.
-- include frame
local count = call('GET', P .. N)
if not count then return { -1, 0 } end
count = tonumber(count)
local given = math.min(ROWS - count, tonumber(ARGV[1]))
if given > 0 then call('SET', P .. N, count + given) end
return { count, given }
