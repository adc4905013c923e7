-- What a verb of every job says is one argument, SAID: each one costs server and client together as much as half a command.
-- SAID: "1" when sent a second time, else "0"; token (8 bytes); rn (4); attempt it speaks of (i32, -1 any); the states it may leave
-- (u8, bit s for state code s); WHAT, which each script explains (u8); dictionary limit (u32); length of the row's number (u8), the
-- row's number, text; TEXT, the rest.
local AGAIN, TOKEN, RANDOM, ATTEMPT, SOURCES, WHAT, LIMIT, ROW_TEXT, REST = struct.unpack('<c1c8c4i4BBI4Bc0', SAID)
-- include live
-- include once
