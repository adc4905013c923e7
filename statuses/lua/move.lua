-- Enters a state (any but started, see start.lua).
-- KEYS[1] the segment's version (string).
-- ARGV[1] see verb.lua, WHAT is the target code; then what may be left out: [2] microseconds since that was so, where it is told
-- later; [3] own id; [4] frozen.
-- Returns 1 changed; 0 nothing to change, or not allowed by attempt or sources; -1 no such job. Atomic.
-- include keys
-- include head
local SAID, OWN, FROZEN = ARGV[1], ARGV[3] or '', ARGV[4] or ''
local LATE = ARGV[2] ~= '' and ARGV[2]
-- include verb
local target = WHAT
if not state then return -1 end
if sent_before then return 1 end
-- include guard
if state == target or not allowed then return 0 end
local now, version
-- include clock
-- include late
-- include sign
if target >= 4 and target <= 6 then
-- include ending
else
-- include cell
-- include enter
  if ended(state) then
-- include asked
-- include forget
    if is_spent(ROW) then forget_request(ROW) end
  end
  enter(ROW, state, target, now)
end
return 1
