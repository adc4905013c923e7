-- Enters a state (any but started, see start.lua).
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see row.lua; [6] "1" when sent a second time; [7] target code; [8] attempt or ''; [9] sources or '';
-- [10] microseconds since that was so, where it is told later.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt or sources; -1 no such job. Atomic.
-- include row
-- include once
-- include enter
local target = tonumber(ARGV[7])
if not state then return -1 end
if sent_before then return 1 end
if state == target or not allowed(ARGV[8], ARGV[9]) then return 0 end
local now, version = clock(FROZEN)
touch(version, TOKEN)
remember()
if target == 4 then call('HSET', J, 'g', '1') end
if not ended(target) and ended(state) then
-- include asked
-- include forget
  if is_spent(ROW) then forget_request(ROW) end
end
if ARGV[10] then now = now - ARGV[10] end
enter(ROW, state, target, now)
return 1
