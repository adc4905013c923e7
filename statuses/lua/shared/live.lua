-- Whether the row is a live one: ROW_TEXT (text), RANDOM (4 bytes) and OWN ('' where the id is generated) say which is meant.
-- Its own keys are P j (hash), l (hash), d, k and e (strings), each with the row's number, ROW_TEXT; J is the first.
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
