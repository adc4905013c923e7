-- A new status in the segment's next row.
-- KEYS frame; +1..+8 codes and texts of names, users, queues, engines; +9 alias of the own id
-- (or the segment's n again where there is none); +10.. postings.
-- ARGV[1] frozen; [2] token; [3] "1" when sent a second time; [4] rn (4 bytes); [5] prefix; [6] own id or '';
-- [7] state code; [8..11] name, user, queue, engine; [12] keep_for microseconds + 1, or 0;
-- [13] limit of a dictionary; [14] limit of users; [15] "segment row" of a dead alias that may be replaced, or '';
-- [16] call text; [17] data text; [18] number of field arguments, then those; then per posting its 6 hash bytes.
-- Returns {1, row, recorded microseconds}; {0} no such segment; {-1} segment full; {-2, alias} id taken. Atomic.
-- include frame
-- include codes
-- include fields
local TOKEN, RANDOM, PREFIX, OWN, STATE = ARGV[2], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

local count = call('GET', N)
if not count then return { 0 } end
count = tonumber(count)

-- A first sending whose reply was lost: the row is there already.
local function before()
  if OWN ~= '' then
    local segment, row = string.match(call('GET', KEYS[FRAME + 9]) or '', '^(%d+) (%d+)$')
    if row and PREFIX == string.match(PREFIX, '^(.*})') .. segment .. ':' and call('HGET', PREFIX .. 'j' .. row, 'u') == TOKEN then
      return tonumber(row)
    end
    return nil
  end
  local all, at = call('GETRANGE', RN, 0, math.min(count, CELLS) * 4 - 1), 1
  while true do
    at = string.find(all, RANDOM, at, true)
    if not at then return nil end
    if (at - 1) % 4 == 0 then return PACKED and struct.unpack('<I2', PACKED, (at - 1) / 2 + 1) or (at - 1) / 4 end
    at = at + 1
  end
end

if ARGV[3] == '1' then
  local row = before()
  if row then return { 1, row, number(RECORDED, row, 8) } end
end
if OWN ~= '' then
  local taken = call('GET', KEYS[FRAME + 9])
  if taken and taken ~= ARGV[15] then return { -2, taken } end
end
if count >= ROWS then return { -1 } end

local now, version = clock(ARGV[1])
local row = count
local name = code(KEYS[FRAME + 1], KEYS[FRAME + 2], ARGV[8], ARGV[13])
local user = code(KEYS[FRAME + 3], KEYS[FRAME + 4], ARGV[9], ARGV[14])
local queue = code(KEYS[FRAME + 5], KEYS[FRAME + 6], ARGV[10], ARGV[13])
local engine = code(KEYS[FRAME + 7], KEYS[FRAME + 8], ARGV[11], ARGV[13])

call('SET', N, row + 1)
if OWN == '' then call('SETRANGE', RN, row * 4, RANDOM) end
if name > 0 then put(NM, row, 4, name) end
if user > 0 then put(US, row, 4, user) end
if queue > 0 then put(QU, row, 4, queue) end
if engine > 0 then put_new(EN, row, 4, engine) end
if ARGV[12] ~= '0' then put_new(KEEP, row, 8, tonumber(ARGV[12])) end
put(RECORDED, row, 8, now)
local moments = { [2] = QUEUED, [3] = STARTED, [4] = SUCCEEDED, [5] = FAILED, [6] = KILLED }
if moments[STATE] then put_new(moments[STATE], row, 8, now) end
if STATE == 3 then put(WAIT, row, 8, 1) end

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
  call('SET', KEYS[FRAME + 9], string.match(PREFIX, '(%d+):$') .. ' ' .. row)
end
if STATE == 4 then
  small[#small + 1] = 'g'
  small[#small + 1] = '1'
end
local at = string.format('%d', row)
if #small > 0 then call('HSET', PREFIX .. 'j' .. at, unpack(small)) end
if #large > 0 then call('HSET', PREFIX .. 'l' .. at, unpack(large)) end
if ARGV[16] ~= '' then call('SET', PREFIX .. 'k' .. at, ARGV[16]) end
if ARGV[17] ~= '' then call('SET', PREFIX .. 'd' .. at, ARGV[17]) end
local packed = struct.pack('<I2', row)
for i = FRAME + 10, #KEYS do call('APPEND', KEYS[i], packed .. ARGV[9 + fields + i - FRAME]) end

touch(version, TOKEN)
put(ST, row, 1, STATE)
return { 1, row, now }
