-- A new status in the segment's next row.
-- KEYS[1] the segment's version (string); [2..5] codes of names, users, queues, engines (hashes); [6] alias of the own id (string)
-- or the version's again where there is none; [7..] postings (strings).
-- ARGV[1] frozen; [2] token; [3] "1" when sent a second time; [4] rn (4 bytes); [5] number of the segment; [6] own id or '';
-- [7] state code; [8..11] name, user, queue, engine; [12] keep_for microseconds + 1, or 0;
-- [13] limit of a dictionary; [14] limit of users; [15] "segment row" of a dead alias that may be replaced, or '';
-- [16] call text; [17] data text; [18] number of field arguments, then those; then per posting its 6 hash bytes.
-- Returns {1, row, recorded microseconds}; {0} no such segment; {-1} segment full, or packed; {-2, alias} id taken. Atomic.
-- include keys
-- include codes
local TOKEN, RANDOM, SEGMENT, OWN, STATE = ARGV[2], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local ALIAS = KEYS[6]

local PACKED, VERSION, TAKEN = unpack(call('MGET', P .. NUMBERS, V, P .. N))
if not TAKEN then return { 0 } end
local ROW, CELLS = tonumber(TAKEN), PACKED and #PACKED / 2 or ROWS
-- include version

-- A first sending whose reply was lost: the row is there already.
local again
if ARGV[3] == '1' and OWN ~= '' then
  local segment, row = string.match(call('GET', ALIAS) or '', '^(%d+) (%d+)$')
  if segment == SEGMENT and call('HGET', P .. 'j' .. row, 'u') == TOKEN then
    again = tonumber(row)
  end
elseif ARGV[3] == '1' then
  local all = call('GETRANGE', P .. RN, 0, math.min(ROW, CELLS) * 4 - 1)
  local at = string.find(all, RANDOM, 1, true)
  while at and (at - 1) % 4 > 0 do at = string.find(all, RANDOM, at + 1, true) end
  if at then again = PACKED and struct.unpack('<I2', PACKED, (at - 1) / 2 + 1) or (at - 1) / 4 end
end
if again then ROW = again end
-- include cell
if again then return { 1, ROW, number(RECORDED, ROW, 8) } end
if OWN ~= '' then
  local taken = call('GET', ALIAS)
  if taken and taken ~= ARGV[15] then return { -2, taken } end
end
if PACKED or ROW >= ROWS then return { -1 } end

local now, version = clock(ARGV[1])
local name = code(KEYS[2], ARGV[8], ARGV[13])
local user = code(KEYS[3], ARGV[9], ARGV[14])
local queue = code(KEYS[4], ARGV[10], ARGV[13])
local engine = code(KEYS[5], ARGV[11], ARGV[13])

call('INCR', P .. N)
if OWN == '' then call('SETRANGE', P .. RN, AT_4, RANDOM) end
if name > 0 then put(NM, ROW, 4, name) end
if user > 0 then put(US, ROW, 4, user) end
if queue > 0 then put(QU, ROW, 4, queue) end
if engine > 0 then put_new(EN, ROW, 4, engine) end
if ARGV[12] ~= '0' then put_new(KEEP, ROW, 8, tonumber(ARGV[12])) end
put(RECORDED, ROW, 8, now)
local moment = STATE == 2 and QUEUED or STATE == 3 and STARTED or STATE == 4 and SUCCEEDED or STATE == 5 and FAILED or STATE == 6 and KILLED
if moment then put_new(moment, ROW, 8, now) end
if STATE == 3 then put(WAIT, ROW, 8, 1) end

local fields = tonumber(ARGV[18])
local small, large = {}, {}
for i = 19, 18 + fields, 2 do
  local into = (#ARGV[i + 1] > 64 and ARGV[i] ~= 'i') and large or small
  into[#into + 1] = ARGV[i]
  into[#into + 1] = ARGV[i + 1]
end
if OWN ~= '' then
  small[#small + 1] = 'u'
  small[#small + 1] = TOKEN
  call('SET', ALIAS, SEGMENT .. ' ' .. AT_1)
end
if STATE == 4 then
  small[#small + 1] = 'g'
  small[#small + 1] = '1'
end
if #small > 0 then call('HSET', P .. 'j' .. AT_1, unpack(small)) end
if #large > 0 then call('HSET', P .. 'l' .. AT_1, unpack(large)) end
if ARGV[16] ~= '' then call('SET', P .. 'k' .. AT_1, ARGV[16]) end
if ARGV[17] ~= '' then call('SET', P .. 'd' .. AT_1, ARGV[17]) end
local packed = struct.pack('<I2', ROW)
for i = 19 + fields, #ARGV do call('APPEND', KEYS[i - fields - 12], packed .. ARGV[i]) end

touch(version, TOKEN)
put(ST, ROW, 1, STATE)
return { 1, ROW, now }
