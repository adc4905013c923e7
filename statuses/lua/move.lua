-- Enters a state (any but started, see start.lua).
-- KEYS frame; +1..+5 the row's keys.  ARGV[1..5] see row.lua; [6] target code; [7] attempt or ''; [8] sources or ''.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt or sources; -1 no such job. Atomic.
-- include frame
-- include row
-- include enter
local state, target = live(), tonumber(ARGV[6])
if not state then return -1 end
if state == target or not allowed(state, ARGV[7], ARGV[8]) then return 0 end
local now, version = clock(FROZEN)
touch(version, TOKEN)
if target == 4 then
  call('HSET', J, 'g', '1')
  call('HDEL', L, 'g')
end
enter(ROW, state, target, now)
return 1
