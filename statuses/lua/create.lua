-- A new status in the segment's next row.
-- KEYS[1] the segment's version (string); [2..5] codes of names, users, queues, engines (hashes); where the id is the caller's own,
-- its alias (string); then postings (strings).
-- ARGV[1] frozen; [2] token; [3] "1" when sent a second time; [4] rn (4 bytes); [5] number of the segment; [6] '' where the id is
-- generated, else "segment row" of a dead alias that may be replaced, or '-'; [7] state code; [8..11] name, user, queue, engine;
-- [12] keep_for microseconds + 1, or 0; [13] the limits of a dictionary and of users, with a space between;
-- [14] call text; [15] data text; [16] number of field arguments, then those; then per posting its 6 hash bytes.
-- Returns when it was recorded (8 bytes, microseconds) and the row's number, as one string: a table costs as much as a command;
-- {0} no such segment; {-1} segment full, or packed; {-2, alias} id taken. Atomic.
-- include keys
local PACKED, VERSION, TAKEN = unpack(call('MGET', P .. NUMBERS, V, P .. N))
local CELLS = PACKED and #PACKED / 2 or ROWS
local FROZEN, TOKEN, RANDOM, SEGMENT, OWN, STATE = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7] + 0
local ALIAS = KEYS[6]
if not TAKEN then return { 0 } end
local ROW, ROW_TEXT = TAKEN + 0, TAKEN

-- A first sending whose reply was lost: the row is there already.
if ARGV[3] == '1' then
  local again
  if OWN ~= '' then
    local segment, row = string.match(call('GET', ALIAS) or '', '^(%d+) (%d+)$')
    if segment == SEGMENT and call('HGET', P .. 'j' .. row, 'u') == TOKEN then again = tonumber(row) end
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

-- include clock
-- Below 0: not there or marked, see codes.lua.
local name = ARGV[8] == '' and 0 or (call('HGET', KEYS[2], ARGV[8]) or -1) + 0
local user = ARGV[9] == '' and 0 or (call('HGET', KEYS[3], ARGV[9]) or -1) + 0
local queue = ARGV[10] == '' and 0 or (call('HGET', KEYS[4], ARGV[10]) or -1) + 0
local engine = ARGV[11] == '' and 0 or (call('HGET', KEYS[5], ARGV[11]) or -1) + 0
if name < 0 or user < 0 or queue < 0 or engine < 0 then
-- include codes
  local limit, of_users = string.match(ARGV[13], '^(%d+) (%d+)$')
  name, user = code(KEYS[2], ARGV[8], limit), code(KEYS[3], ARGV[9], of_users)
  queue, engine = code(KEYS[4], ARGV[10], limit), code(KEYS[5], ARGV[11], limit)
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
if ARGV[12] ~= '0' then
-- include cell
  put_new(KEEP, ROW, 8, tonumber(ARGV[12]))
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
local J, last_field, is_long = P .. 'j' .. ROW_TEXT, 16 + ARGV[16], false
for i = 17, last_field, 2 do is_long = is_long or #ARGV[i + 1] > 64 and ARGV[i] ~= 'i' end
if is_long then
  local small, large = {}, {}
  for i = 17, last_field, 2 do
    local into = #ARGV[i + 1] > 64 and ARGV[i] ~= 'i' and large or small
    into[#into + 1] = ARGV[i]
    into[#into + 1] = ARGV[i + 1]
  end
  if #small > 0 then call('HSET', J, unpack(small)) end
  call('HSET', P .. 'l' .. ROW_TEXT, unpack(large))
elseif last_field > 16 then
  call('HSET', J, unpack(ARGV, 17, last_field))
end
if OWN ~= '' then
  call('HSET', J, 'u', TOKEN)
  call('SET', ALIAS, SEGMENT .. ' ' .. ROW_TEXT)
end
if STATE == 4 then call('HSET', J, 'g', '1') end
if ARGV[14] ~= '' then call('SET', P .. 'k' .. ROW_TEXT, ARGV[14]) end
if ARGV[15] ~= '' then call('SET', P .. 'd' .. ROW_TEXT, ARGV[15]) end
if #ARGV > last_field then
  local packed = pack('<I2', ROW)
  local before = (OWN == '' and 5 or 6) - last_field
  for i = last_field + 1, #ARGV do call('APPEND', KEYS[before + i], packed .. ARGV[i]) end
end

call('SETRANGE', V, '0', (version == now and MOMENT or pack('<I8', version)) .. TOKEN)
call('SETRANGE', P .. ST, AT_1, string.char(STATE))
return MOMENT .. ROW_TEXT
