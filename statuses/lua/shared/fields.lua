-- Fields of a row's hashes: values over 64 bytes live in a second hash, for one long value
-- would turn the whole of a small hash into a large one. Progress stays in the small one: every success writes it.
local function set_field(small, large, name, value)
  if #value > 64 and name ~= 'g' then
    call('HSET', large, name, value)
    call('HDEL', small, name)
  else
    call('HSET', small, name, value)
    call('HDEL', large, name)
  end
end

local function get_field(small, large, name)
  return call('HGET', small, name) or call('HGET', large, name)
end
