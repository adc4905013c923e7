-- One live row, as statements: what a script on one row needs before anything is done, without a function.
-- A script with this part takes ARGV[1] frozen microseconds or '', [2] token (8 bytes), [3] row, [4] rn (4 bytes), [5] own id or ''.
-- include keys
-- include head
local FROZEN, TOKEN, ROW_TEXT, RANDOM, OWN = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
-- include live
