-- One verb on many rows of a segment, each checked again.
-- KEYS frame; +1 last call (string: its token and results); then, for kill and restore one key a row (j), for delete
-- and sweep five (j, l, d, k, e); remove touches cells only. Restore and sweep take removed rows, the others living ones.
-- ARGV[1] frozen; [2] token; [3] verb: kill, remove, restore, delete, sweep; [4] state codes that may be left, as digits;
-- [5] rows, packed: u16 row, 4 bytes rn; [6] kill: by; remove, restore: the moment from which it is gone for good;
-- [7] kill: reason; [8] kill: "1" ends jobs that wait; delete, sweep, restore: prefix; [9] "1" when sent a second time.
-- Returns one byte a row: + changed (kill: asked), k killed, = was so before, . no such job (restore: or its own id
-- is another's by now), else the state's code + 64. Atomic.
-- include frame
-- include fields
-- include enter
local LAST = KEYS[FRAME + 1]
local VERB, SOURCES, GIVEN = ARGV[3], ARGV[4], ARGV[5]
if ARGV[9] == '1' then
  local last = call('GET', LAST) or ''
  if string.sub(last, 1, 8) == ARGV[2] then return string.sub(last, 9) end
end
local states = call('GET', ST)
if not states then return string.rep('.', #GIVEN / 6) end
local randoms = call('GET', RN)
local now, version = clock(ARGV[1])
local results, changed = {}, false

local function kill(row, state, job)
  local asked = number(ASKED, row, 8) > 0
  local ends = ARGV[8] == '1' and state <= 2
  if asked and not ends then return '=' end
  if not asked then
    local fields = {}
    if ARGV[6] ~= '' then fields = { 'b', ARGV[6] } end
    if ARGV[7] ~= '' and #ARGV[7] <= 64 then
      fields[#fields + 1] = 'y'
      fields[#fields + 1] = ARGV[7]
    elseif ARGV[7] ~= '' then
      set_field(job, string.gsub(job, 'j(%d+)$', 'l%1'), 'y', ARGV[7])
    end
    if #fields > 0 then call('HSET', job, unpack(fields)) end
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

local function delete(row, first)
  local job = KEYS[first]
  local attempts, own = call('HGET', job, 'n'), call('HGET', job, 'i')
  for n = 0, tonumber(attempts or '0') - 1 do
    local target = ARGV[8] .. 'a' .. string.format('%d:%d', row, n)
    call('UNLINK', target, target .. 'd', target .. 'e')
  end
  if own then
    local key, here = alias(row, own)
    if call('GET', key) == here then call('UNLINK', key) end
  end
  call('UNLINK', KEYS[first], KEYS[first + 1], KEYS[first + 2], KEYS[first + 3], KEYS[first + 4])
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

local index = 0
for at = 1, #GIVEN, 6 do
  local row = struct.unpack('<I2', GIVEN, at)
  local place = cell(row)
  local state = string.byte(states, place + 1) or 0
  local same = string.sub(randoms, place * 4 + 1, place * 4 + 4) == string.sub(GIVEN, at + 2, at + 5)
  local removed = state > 8
  local result
  if state == 0 or not same or (VERB == 'restore' or VERB == 'sweep') ~= removed then
    result = '.'
  elseif VERB == 'restore' then
    result = restore(row, state, KEYS[FRAME + index + 2])
  elseif not string.find(SOURCES, tostring(removed and state - 8 or state), 1, true) then
    result = string.char(64 + state)
  elseif VERB == 'kill' then
    result = kill(row, state, KEYS[FRAME + index + 2])
  elseif VERB == 'remove' then
    result = remove(row, state)
  else
    result = delete(row, FRAME + index * 5 + 2)
  end
  changed = changed or result == '+' or result == 'k'
  index = index + 1
  results[index] = result
end
local answer = table.concat(results)
if changed then
  touch(version, ARGV[2])
  call('SET', LAST, ARGV[2] .. answer)
end
return answer
