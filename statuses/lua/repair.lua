-- Writes what a check worked out, if the segment is still as it was checked.
-- KEYS frame; +1.. every other key that is written.
-- ARGV[1] frozen microseconds or ''; [2] token (8 bytes); [3] the version that was checked, '' for none; [4] '' to leave
-- the version (no answer depends on what is written), else what the next one must be at least, microseconds;
-- then per write: a command, the number of its key, how many arguments, those. Commands are Redis' own, and
-- LENGTH bytes (fill with zeros, or cut), DROP value (unlink where it holds this), POINT old new (set where it holds old, '' for nothing).
-- Returns the segment's version after that; nothing where the segment is another by now. Atomic.
-- include frame
if (call('GET', V) or '') ~= ARGV[3] then return false end

local OWN = {}

function OWN.LENGTH(key, wanted)
  local bytes, length = tonumber(wanted), call('STRLEN', key)
  if length < bytes then
    call('SETRANGE', key, bytes - 1, '\0')
  elseif length > bytes then
    call('SET', key, call('GETRANGE', key, 0, bytes - 1))
  end
end

function OWN.DROP(key, value)
  if call('GET', key) == value then call('UNLINK', key) end
end

function OWN.POINT(key, old, new)
  if (call('GET', key) or '') == old then call('SET', key, new) end
end

local at = 5
while at <= #ARGV do
  local command, key, count = ARGV[at], KEYS[tonumber(ARGV[at + 1])], tonumber(ARGV[at + 2])
  if OWN[command] then
    OWN[command](key, unpack(ARGV, at + 3, at + 2 + count))
  else
    call(command, key, unpack(ARGV, at + 3, at + 2 + count))
  end
  at = at + 3 + count
end
if ARGV[4] ~= '' then
  local last = #ARGV[3] == 16 and (struct.unpack('<I8', ARGV[3])) or 0
  local time = call('TIME')
  local now = ARGV[1] ~= '' and tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
  touch(math.max(now, last + 1, tonumber(ARGV[4])), ARGV[2])
end
return call('GET', V) or ''
