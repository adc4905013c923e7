-- What is known of the segment before anything is done.
-- PACKED: a packed segment keeps the cells of its live rows alone; this is their rows (u16, ascending). False elsewhere.
-- VERSION: as it was when the script began. False where there is no such segment.
local PACKED, VERSION = unpack(call('MGET', P .. NUMBERS, V))
local CELLS = PACKED and #PACKED / 2 or ROWS
-- Whether the version is written already, see sign.lua.
local signed = false
