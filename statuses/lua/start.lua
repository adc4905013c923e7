-- Starts a job; one that already started is restarted: its attempt is archived in the same step.
-- KEYS[1] the segment's version (string).
-- ARGV[1] see starting.lua; then what may be left out: [2] ''; [3] own id; [4] frozen.
-- Returns the attempt that started, or a table, see starting.lua. Atomic.
-- include keys
-- include family
-- include head
local SAID, OWN, FROZEN = ARGV[1], ARGV[3] or '', ARGV[4] or ''
local now, version
-- include starting
