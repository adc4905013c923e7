-- Ends one job and starts another of the same segment, as `move` or `finish` and then `start` would, in less than both take:
-- a process that goes from job to job says both at once.
-- KEYS[1] the segment's version (string).
-- ARGV[1] the end, as ARGV[1] of move.lua; [2] microseconds since that was so; [3] data or '', kept only where there is none;
-- [4] the start, see starting.lua. Both ids are generated ones, the clock runs.
-- Returns what the start does, where the end changed something or was sent before. Else nothing is started, and it returns
-- {0 nothing to end, or not allowed by attempt or sources | -1 no such job}. Atomic.
-- include keys
-- include family
-- include head
local OWN, FROZEN, now, version = '', '', nil, nil
if not VERSION then return { -1 } end
-- include clock
do
  local SAID, LATE, now = ARGV[1], ARGV[2], now
-- include verb
  local target = WHAT
  if not state then return { -1 } end
  if not sent_before then
-- include guard
    if state == target or not allowed then return { 0 } end
-- include late
-- include sign
    if ARGV[3] ~= '' then call('SETNX', P .. 'd' .. ROW_TEXT, ARGV[3]) end
-- include ending
  end
end
local SAID = ARGV[4]
-- include starting
