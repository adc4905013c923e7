-- The arguments of many rows of one segment; writes nothing.
-- KEYS[1] the segment's version (string). Of each row the field a is read, in its hash j or l.
-- ARGV[1] rows, packed: u16 each; [2] bytes of arguments after which no further row is read.
-- Returns their JSON texts, nil for a row without any; fewer than there are rows where the bytes were reached. Atomic.
local P, ROWS, MOST = string.sub(KEYS[1], 1, -2), ARGV[1], tonumber(ARGV[2])
local call, unpacked, format = redis.call, struct.unpack, string.format
-- Most are kept as those before them: short ones in one hash, long ones in the other.
local FIRST, THEN = P .. 'j', P .. 'l'
local found, number, bytes = {}, 0, 0

while number * 2 < #ROWS and bytes < MOST do
  local row = format('%d', (unpacked('<I2', ROWS, number * 2 + 1)))
  local text = call('HGET', FIRST .. row, 'a')
  if not text then
    text = call('HGET', THEN .. row, 'a')
    if text then FIRST, THEN = THEN, FIRST end
  end
  number = number + 1
  found[number] = text
  if text then bytes = bytes + #text end
end
return found
