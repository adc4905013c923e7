-- One verb on many rows of a segment, each checked again.
-- KEYS[1] the segment's version (string); [2] last calls (string: token, length and results of the newest two).
-- Remove touches cells only, kill and restore the hash j of each row (a kill with a reason of more than 64 bytes l too), delete and
-- sweep j, l, d, k and e. Restore and sweep take removed rows, the others living ones.
-- ARGV[1] frozen; [2] token; [3] verb: kill, remove, restore, delete, sweep; [4] state codes that may be left, as digits;
-- [5] rows, ascending, packed: u16 row, 4 bytes rn; [6] kill: by; remove, restore: the moment from which it is gone for good;
-- [7] kill: reason; [8] kill: "1" ends jobs that wait; [9] "1" when sent a second time.
-- Returns one byte a row: + changed (kill: asked), k killed, = was so before, . no such job (restore: or its own id
-- is another's by now, or the moment is over), else the state's code + 64. Atomic.
-- include frame
-- include span
-- include fields
-- include enter
local LAST = KEYS[2]
local VERB, SOURCES, GIVEN = ARGV[3], ARGV[4], ARGV[5]
if ARGV[9] == '1' then
  local last, at = call('GET', LAST) or '', 1
  while at + 9 <= #last do
    local ends = at + 9 + unpacked('<I2', last, at + 8)
    if sub(last, at, at + 7) == ARGV[2] then return sub(last, at + 10, ends) end
    at = ends + 1
  end
end
if call('EXISTS', P .. ST) == 0 then return string.rep('.', #GIVEN / 6) end
local now, version = clock(ARGV[1])
local rows, randoms, count = {}, {}, #GIVEN / 6
for i = 1, count do rows[i], randoms[i] = unpacked('<I2I4', GIVEN, i * 6 - 5) end
open(rows)

-- Who asked and why, as fields of a row's first hash; a long reason goes to its second one.
local BY, WHY, IS_LONG, ENDS = ARGV[6], ARGV[7], #ARGV[7] > 64, ARGV[8] == '1'
local PJ, PL = P .. 'j', P .. 'l'

-- The number of a row as text. One of ten of them costs a printf, the others end in another digit.
local UNITS = { [0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' }
local tens, tens_text = 0, ''
local function text_of(row)
  local unit = row % 10
  if row - unit ~= tens then
    tens = row - unit
    tens_text = string.format('%d', tens / 10)
  end
  return tens_text .. UNITS[unit]
end

-- Nothing ran in this stretch, and nothing was killed: what `enter` makes of each row that waits is the same for all.
local PLAIN = VERB == 'kill' and ENDS and is_blank(STARTED, 8) and is_blank(KILLED, 8)
local asked, killed = {}, {}

local function kill(row, state, was_asked)
  local ends = ENDS and state <= 2
  if was_asked then
    if not ends then return '=' end
  else
    local name = text_of(row)
    if IS_LONG then
      if BY ~= '' then call('HSET', PJ .. name, 'b', BY) end
      set_field(PJ .. name, PL .. name, 'y', WHY)
    elseif BY ~= '' and WHY ~= '' then
      call('HSET', PJ .. name, 'b', BY, 'y', WHY)
    elseif BY ~= '' or WHY ~= '' then
      call('HSET', PJ .. name, BY ~= '' and 'b' or 'y', BY ~= '' and BY or WHY)
    end
    asked[#asked + 1] = row
  end
  if not ends then return '+' end
  if PLAIN then
    killed[#killed + 1] = row
  else
    enter(row, state, 6, now)
  end
  return 'k'
end

local function remove(row, state)
  put(ST, row, 1, state + 8)
  put_new(GONE, row, 8, tonumber(ARGV[6]))
  return '+'
end

-- The alias of an own id, and what it holds while it speaks of this row.
local function alias(row, own)
  return string.match(P, '^(.*})') .. 'x:' .. own, string.match(P, '(%d+):$') .. ' ' .. row
end

local PD, PK, PE, PA = P .. 'd', P .. 'k', P .. 'e', P .. 'a'
local gone, going = {}, 0

-- What belongs to a row beside the usual: what was it before, and an id of its own. The column of attempts counts to 255.
local function delete_more(row, attempts, random)
  if attempts == 255 then attempts = tonumber(call('HGET', PJ .. row, 'n') or '0') end
  for n = 0, attempts - 1 do
    local target = PA .. row .. ':' .. n
    call('UNLINK', target, target .. 'd', target .. 'e')
  end
  local own = random == 0 and call('HGET', PJ .. row, 'i')
  if own then
    local key, here = alias(row, own)
    if call('GET', key) == here then call('UNLINK', key) end
  end
end

local function delete(row, random)
  local attempts = number(ATTEMPTS, row, 1)
  if attempts > 0 or random == 0 then delete_more(row, attempts, random) end
  local name = text_of(row)
  gone[going + 1], gone[going + 2], gone[going + 3] = PJ .. name, PL .. name, PD .. name
  gone[going + 4], gone[going + 5] = PK .. name, PE .. name
  going = going + 5
  put(ST, row, 1, 0)
  return '+'
end

local function restore(row, state, random)
  if number(GONE, row, 8) ~= tonumber(ARGV[6]) or now >= tonumber(ARGV[6]) then return '.' end
  local own = random == 0 and call('HGET', PJ .. row, 'i')
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
for i = 1, #SOURCES do may_leave[tonumber(sub(SOURCES, i, i))] = true end
local of_removed = VERB == 'restore' or VERB == 'sweep'
local states, randoms_now = numbers(ST, rows, 1), numbers(RN, rows, 4)
local none_asked = VERB ~= 'kill' or is_blank(ASKED, 8)
local results, changed = {}, false
for i = 1, count do
  local row, state = rows[i], states[i]
  local removed = state > 8
  local result
  if state == 0 or removed ~= of_removed or randoms_now[i] ~= randoms[i] then
    result = '.'
  elseif VERB == 'restore' then
    result = restore(row, state, randoms[i])
  elseif not may_leave[removed and state - 8 or state] then
    result = string.char(64 + state)
  elseif VERB == 'kill' then
    result = kill(row, state, not none_asked and number(ASKED, row, 8) > 0)
  elseif VERB == 'remove' then
    result = remove(row, state)
  else
    result = delete(row, randoms[i])
  end
  changed = changed or result == '+' or result == 'k'
  results[i] = result
end
local answer = table.concat(results)
if changed then
  for i = 1, going, 500 do call('UNLINK', unpack(gone, i, math.min(i + 499, going))) end
  if #asked > 0 then fill({ [ASKED] = { 8, now } }, asked) end
  if #killed > 0 then fill({ [KILLED] = { 8, now }, [ST] = { 1, 6 } }, killed) end
  write_back()
  touch(version, ARGV[2])
  local before = call('GET', LAST) or ''
  local newest = #before >= 10 and sub(before, 1, 10 + unpacked('<I2', before, 9)) or ''
  call('SET', LAST, ARGV[2] .. struct.pack('<I2', count) .. answer .. newest)
end
return answer
