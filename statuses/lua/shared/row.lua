-- One live row: KEYS[FRAME + 1..5] are its j (hash), l (hash), d, k and e (strings).
-- Every script on one row takes ARGV[1] frozen microseconds or '', [2] token (8 bytes), [3] row,
-- [4] rn (4 bytes), [5] own id or ''.
local J, L, D, C, E = KEYS[FRAME + 1], KEYS[FRAME + 2], KEYS[FRAME + 3], KEYS[FRAME + 4], KEYS[FRAME + 5]
local FROZEN, TOKEN, ROW, RANDOM, OWN = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- The state's code, or nil when the job is not (or no longer) in this row.
local function live()
  local bytes = bytes_of(ST, ROW, 1)
  if bytes == '' then return nil end
  local state = string.byte(bytes)
  if state < 1 or state > 7 then return nil end
  if bytes_of(RN, ROW, 4) ~= RANDOM then return nil end
  if OWN ~= '' and call('HGET', J, 'i') ~= OWN then return nil end
  return state
end

local function present_attempt()
  return tonumber(call('HGET', J, 'n') or '0')
end

-- Whether a guarded write may happen. attempt: number or ''; sources: state codes as digits, or ''.
local function allowed(state, attempt, sources)
  if attempt ~= '' and present_attempt() ~= tonumber(attempt) then return false end
  return sources == '' or string.find(sources, tostring(state), 1, true) ~= nil
end
