-- One live row, as statements: what a script on one row needs before anything is done, without a function.
-- Its own keys are P j (hash), l (hash), d, k and e (strings), each with the row's number, ROW_TEXT; J is the first.
-- Every script on one row takes ARGV[1] frozen microseconds or '', [2] token (8 bytes), [3] row,
-- [4] rn (4 bytes), [5] own id or ''.
-- include keys
-- include head
local FROZEN, TOKEN, ROW_TEXT, RANDOM, OWN = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ROW = ROW_TEXT + 0
local J = P .. 'j' .. ROW_TEXT
-- include at

-- The state's code, or nil when the job is not (or no longer) in this row.
local state = string.byte(call('GETRANGE', P .. ST, AT_1, AT_1))
if
  state
  and (
    state < 1
    or state > 7
    or call('GETRANGE', P .. RN, AT_4, string.format('%d', AT * 4 + 3)) ~= RANDOM
    or OWN ~= '' and call('HGET', J, 'i') ~= OWN
  )
then
  state = nil
end
