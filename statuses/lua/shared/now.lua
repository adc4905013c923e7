-- The moment of a script that is about no segment: FROZEN microseconds, '' for the server's own.
local time = call('TIME')
local now = FROZEN ~= '' and tonumber(FROZEN) or time[1] * 1000000 + time[2]
