-- A new status in the segment's next row.
-- KEYS[1] the segment's version (string); where the id is the caller's own, its alias (string); then postings (strings).
-- ARGV[1] packed: "1" when sent a second time, else "0"; token (8 bytes); rn (4); state code (u8); keep_for microseconds + 1, or 0
-- (f64); number of field arguments (u8); number of postings (u32); the limits of a dictionary and of users (u32 each); name, user,
-- queue, engine, each behind its length (u16); where the id is generated '', else "segment row" of a dead alias that may be replaced,
-- or '-'; frozen; both behind their lengths (u8).
-- [2] call text or ''; then the field arguments; per posting its 6 hash bytes; data text or nothing.
-- Returns when it was recorded (8 bytes, microseconds) and the row's number, as one string: a table costs as much as a command;
-- {0} no such segment; {-1} segment full, or packed; {-2, alias} id taken. Atomic.
-- include keys
-- include family
local PACKED, VERSION, TAKEN = unpack(call('MGET', P .. NUMBERS, V, P .. N))
local CELLS = PACKED and #PACKED / 2 or ROWS
local AGAIN, TOKEN, RANDOM, STATE, KEPT, FIELDS, POSTINGS, LIMIT, OF_USERS, NAME, USER, QUEUE, ENGINE, OWN, FROZEN =
  struct.unpack('<c1c8c4BdBI4I4I4I2c0I2c0I2c0I2c0Bc0Bc0', ARGV[1])
local ALIAS = KEYS[2]
if not TAKEN then return { 0 } end
local ROW, ROW_TEXT = TAKEN + 0, TAKEN

-- A first sending whose reply was lost: the row is there already.
if AGAIN == '1' then
  local again
  if OWN ~= '' then
    local segment, row = string.match(call('GET', ALIAS) or '', '^(%d+) (%d+)$')
    if segment == string.match(P, '(%d+):$') and call('HGET', P .. 'j' .. row, 'u') == TOKEN then again = tonumber(row) end
  else
    local all = call('GETRANGE', P .. RN, 0, math.min(ROW, CELLS) * 4 - 1)
    local at = string.find(all, RANDOM, 1, true)
    while at and (at - 1) % 4 > 0 do at = string.find(all, RANDOM, at + 1, true) end
    if at then again = PACKED and struct.unpack('<I2', PACKED, (at - 1) / 2 + 1) or (at - 1) / 4 end
  end
  if again then
    ROW, ROW_TEXT = again, string.format('%d', again)
-- include at
    return call('GETRANGE', P .. RECORDED, AT_8, string.format('%d', AT * 8 + 7)) .. ROW_TEXT
  end
end
if OWN ~= '' then
  local taken = call('GET', ALIAS)
  if taken and taken ~= OWN then return { -2, taken } end
end
if PACKED or ROW >= ROWS then return { -1 } end
-- include at

local now, version
-- include clock
-- Below 0: not there or marked, see codes.lua.
local name = NAME == '' and 0 or (call('HGET', T .. 'names', NAME) or -1) + 0
local user = USER == '' and 0 or (call('HGET', T .. 'users', USER) or -1) + 0
local queue = QUEUE == '' and 0 or (call('HGET', T .. 'queues', QUEUE) or -1) + 0
local engine = ENGINE == '' and 0 or (call('HGET', T .. 'engines', ENGINE) or -1) + 0
if name < 0 or user < 0 or queue < 0 or engine < 0 then
-- include codes
  name, user = code(T .. 'names', NAME, LIMIT), code(T .. 'users', USER, OF_USERS)
  queue, engine = code(T .. 'queues', QUEUE, LIMIT), code(T .. 'engines', ENGINE, LIMIT)
end

call('INCR', P .. N)
if OWN == '' then call('SETRANGE', P .. RN, AT_4, RANDOM) end
if name > 0 then call('SETRANGE', P .. NM, AT_4, pack('<I4', name)) end
if user > 0 then call('SETRANGE', P .. US, AT_4, pack('<I4', user)) end
if queue > 0 then call('SETRANGE', P .. QU, AT_4, pack('<I4', queue)) end
if engine > 0 and call('SETRANGE', P .. EN, AT_4, pack('<I4', engine)) < ROWS * 4 then
-- include cell
  put_new(EN, ROW, 4, engine)
end
if KEPT > 0 then
-- include cell
  put_new(KEEP, ROW, 8, KEPT)
end
local MOMENT = pack('<I8', now)
call('SETRANGE', P .. RECORDED, AT_8, MOMENT)
local entered = STATE == 2 and QUEUED or STATE == 3 and STARTED or STATE == 4 and SUCCEEDED or STATE == 5 and FAILED or STATE == 6 and KILLED
if entered and call('SETRANGE', P .. entered, AT_8, MOMENT) < ROWS * 8 then
-- include cell
  put_new(entered, ROW, 8, now)
end
if STATE == 3 then call('SETRANGE', P .. WAIT, AT_8, pack('<I8', 1)) end

-- Fields as they came; those over 64 bytes in a hash of their own (see fields.lua).
local J, last_field, is_long = P .. 'j' .. ROW_TEXT, 2 + FIELDS, false
for i = 3, last_field, 2 do is_long = is_long or #ARGV[i + 1] > 64 and ARGV[i] ~= 'i' end
if is_long then
  local small, large = {}, {}
  for i = 3, last_field, 2 do
    local into = #ARGV[i + 1] > 64 and ARGV[i] ~= 'i' and large or small
    into[#into + 1] = ARGV[i]
    into[#into + 1] = ARGV[i + 1]
  end
  if #small > 0 then call('HSET', J, unpack(small)) end
  call('HSET', P .. 'l' .. ROW_TEXT, unpack(large))
elseif last_field > 2 then
  call('HSET', J, unpack(ARGV, 3, last_field))
end
if OWN ~= '' then
  call('HSET', J, 'u', TOKEN)
  call('SET', ALIAS, string.match(P, '(%d+):$') .. ' ' .. ROW_TEXT)
end
if STATE == 4 then call('HSET', J, 'g', '1') end
if ARGV[2] ~= '' then call('SET', P .. 'k' .. ROW_TEXT, ARGV[2]) end
local last = last_field + POSTINGS
if POSTINGS > 0 then
  local packed = pack('<I2', ROW)
  local before = (OWN == '' and 1 or 2) - last_field
  for i = last_field + 1, last do call('APPEND', KEYS[before + i], packed .. ARGV[i]) end
end
if ARGV[last + 1] then call('SET', P .. 'd' .. ROW_TEXT, ARGV[last + 1]) end

call('SETRANGE', V, '0', (version == now and MOMENT or pack('<I8', version)) .. TOKEN)
call('SETRANGE', P .. ST, AT_1, string.char(STATE))
return MOMENT .. ROW_TEXT
