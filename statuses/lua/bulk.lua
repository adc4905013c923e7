-- One verb on many rows of a segment, each checked again.
-- KEYS frame; +1 last call (string: its token and results); then, for kill and restore one key a row (j; for a kill with a
-- reason of more than 64 bytes the l of each row after those), for delete
-- and sweep five (j, l, d, k, e); remove touches cells only. Restore and sweep take removed rows, the others living ones.
-- ARGV[1] frozen; [2] token; [3] verb: kill, remove, restore, delete, sweep; [4] state codes that may be left, as digits;
-- [5] rows, ascending, packed: u16 row, 4 bytes rn; [6] kill: by; remove, restore: the moment from which it is gone for good;
-- [7] kill: reason; [8] kill: "1" ends jobs that wait; delete, sweep, restore: prefix; [9] "1" when sent a second time.
-- Returns one byte a row: + changed (kill: asked), k killed, = was so before, . no such job (restore: or its own id
-- is another's by now), else the state's code + 64. Atomic.
-- include frame
-- include span
-- include fields
-- include enter
local LAST = KEYS[FRAME + 1]
local VERB, SOURCES, GIVEN = ARGV[3], ARGV[4], ARGV[5]
if ARGV[9] == '1' then
  local last = call('GET', LAST) or ''
  if string.sub(last, 1, 8) == ARGV[2] then return string.sub(last, 9) end
end
if call('EXISTS', P .. ST) == 0 then return string.rep('.', #GIVEN / 6) end
local now, version = clock(ARGV[1])
local rows, results, changed = {}, {}, false
for at = 1, #GIVEN, 6 do rows[#rows + 1] = struct.unpack('<I2', GIVEN, at) end
open(rows)

-- Who asked and why, as fields of a row's first hash; a long reason goes to its second one.
local asking = {}
if VERB == 'kill' then
  if ARGV[6] ~= '' then asking = { 'b', ARGV[6] } end
  if ARGV[7] ~= '' and #ARGV[7] <= 64 then
    asking[#asking + 1] = 'y'
    asking[#asking + 1] = ARGV[7]
  end
end

local function kill(row, state, at)
  local asked = number(ASKED, row, 8) > 0
  local ends = ARGV[8] == '1' and state <= 2
  if asked and not ends then return '=' end
  if not asked then
    if #asking > 0 then call('HSET', KEYS[at], unpack(asking)) end
    if #ARGV[7] > 64 then set_field(KEYS[at], KEYS[at + #rows], 'y', ARGV[7]) end
    put_new(ASKED, row, 8, now)
  end
  if not ends then return '+' end
  enter(row, state, 6, now)
  return 'k'
end

local function remove(row, state)
  put(ST, row, 1, state + 8)
  put_new(GONE, row, 8, tonumber(ARGV[6]))
  return '+'
end

-- The alias of an own id, and what it holds while it speaks of this row.
local function alias(row, own)
  return string.match(ARGV[8], '^(.*})') .. 'x:' .. own, string.match(ARGV[8], '(%d+):$') .. ' ' .. string.format('%d', row)
end

local gone = {}

local function delete(row, at)
  local known = call('HMGET', KEYS[at], 'n', 'i')
  for n = 0, tonumber(known[1] or '0') - 1 do
    local target = P .. 'a' .. string.format('%d:%d', row, n)
    call('UNLINK', target, target .. 'd', target .. 'e')
  end
  if known[2] then
    local key, here = alias(row, known[2])
    if call('GET', key) == here then call('UNLINK', key) end
  end
  for i = at, at + 4 do gone[#gone + 1] = KEYS[i] end
  put(ST, row, 1, 0)
  return '+'
end

local function restore(row, state, job)
  if number(GONE, row, 8) ~= tonumber(ARGV[6]) then return '.' end
  local own = call('HGET', job, 'i')
  if own then
    local key, here = alias(row, own)
    if (call('GET', key) or here) ~= here then return '.' end
    call('SET', key, here)
  end
  put(ST, row, 1, state - 8)
  put(GONE, row, 8, 0)
  return '+'
end

local may_leave = {}
for i = 1, #SOURCES do may_leave[tonumber(string.sub(SOURCES, i, i))] = true end
local of_removed = VERB == 'restore' or VERB == 'sweep'
for index = 1, #rows do
  local row = rows[index]
  local state = string.byte(bytes_of(ST, row, 1)) or 0
  local removed = state > 8
  local result
  if state == 0 or removed ~= of_removed or bytes_of(RN, row, 4) ~= sub(GIVEN, index * 6 - 3, index * 6) then
    result = '.'
  elseif VERB == 'restore' then
    result = restore(row, state, KEYS[FRAME + index + 1])
  elseif not may_leave[removed and state - 8 or state] then
    result = string.char(64 + state)
  elseif VERB == 'kill' then
    result = kill(row, state, FRAME + index + 1)
  elseif VERB == 'remove' then
    result = remove(row, state)
  else
    result = delete(row, FRAME + index * 5 - 3)
  end
  changed = changed or result == '+' or result == 'k'
  results[index] = result
end
local answer = table.concat(results)
if changed then
  for i = 1, #gone, 500 do call('UNLINK', unpack(gone, i, math.min(i + 499, #gone))) end
  write_back()
  touch(version, ARGV[2])
  call('SET', LAST, ARGV[2] .. answer)
end
return answer
