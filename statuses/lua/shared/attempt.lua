-- Looked up once; `archive` tells the next one.
local known_attempt
local function present_attempt()
  known_attempt = known_attempt or tonumber(call('HGET', J, 'n') or '0')
  return known_attempt
end
