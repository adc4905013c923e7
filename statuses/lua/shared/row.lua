-- One live row. Its own keys are P j (hash), l (hash), d, k and e (strings), each with the row's number; J is the first.
-- Every script on one row takes ARGV[1] frozen microseconds or '', [2] token (8 bytes), [3] row,
-- [4] rn (4 bytes), [5] own id or ''.
-- include keys
-- include head
local FROZEN, TOKEN, ROW, RANDOM, OWN = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local J = P .. 'j' .. ARGV[3]
-- include cell

-- The state's code, or nil when the job is not (or no longer) in this row.
local state = string.byte(call('GETRANGE', P .. ST, AT_1, AT_1))
if state and (state < 1 or state > 7 or bytes_of(RN, ROW, 4) ~= RANDOM or OWN ~= '' and call('HGET', J, 'i') ~= OWN) then state = nil end

-- Looked up once; `archive` tells the next one.
local known_attempt
local function present_attempt()
  known_attempt = known_attempt or tonumber(call('HGET', J, 'n') or '0')
  return known_attempt
end

-- Whether a guarded write may happen. attempt: number or ''; sources: state codes as digits, or ''.
local function allowed(attempt, sources)
  if attempt ~= '' and present_attempt() ~= tonumber(attempt) then return false end
  return sources == '' or string.find(sources, tostring(state), 1, true) ~= nil
end
