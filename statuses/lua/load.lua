-- Fills reserved, contiguous rows with statuses that have their own past times.
-- KEYS frame; +1..+12 codes and texts of names, users, queues, workers, engines, errors; +13.. the alias of each own id.
-- ARGV[1] frozen; [2] token; [3] first row; [4] how many; [5] prefix; [6] dictionary limit; [7] limit of users;
-- [8] "1" when sent a second time; [9] states, one byte a row; [10] bounds: u64 lowest and highest of each timestamp,
-- zeros where none was given; [11..] per alias: what it shall hold, the dead value it may hold now or '';
-- then the number of packed columns, per column: number of its key, width, packed cells;
-- then six dictionary columns (in the order of the keys): number of texts, the texts, one u16 a row (0 none, else which text);
-- then the number of postings, per posting: its key's last part, packed entries;
-- then the number of hashes and strings, per one: its key's last part, number of values, the values (1: a string; else fields).
-- Returns {1}; {0} no such segment; {-2, number, value, ...} aliases that are taken, and what they hold: nothing is
-- written then. Atomic; the rows appear all at once, with the states, written last.
-- include frame
local TOKEN = ARGV[2]
-- include codes
local first, count, PREFIX = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if call('STRLEN', P .. ST) ~= ROWS then return { 0 } end
if ARGV[8] == '1' and number(LOADED, first, 8) > 0 then return { 1 } end
local ALIASES = FRAME + 13
local taken = { -2 }
for i = 0, #KEYS - ALIASES do
  local value = call('GET', KEYS[ALIASES + i])
  if value and value ~= ARGV[11 + 2 * i] and value ~= ARGV[12 + 2 * i] then
    taken[#taken + 1] = i
    taken[#taken + 1] = value
  end
end
if #taken > 1 then return taken end
local now, version = clock(ARGV[1])
local at = 10 + 2 * (#KEYS - ALIASES + 1)

local function take()
  at = at + 1
  return ARGV[at]
end

local function column(key, width, packed)
  if call('STRLEN', key) == 0 then call('SETRANGE', key, ROWS * width - 1, '\0') end
  call('SETRANGE', key, first * width, packed)
end

for i = 0, #KEYS - ALIASES do call('SET', KEYS[ALIASES + i], ARGV[11 + 2 * i]) end

for _ = 1, tonumber(take()) do
  local key, width, packed = KEYS[tonumber(take())], tonumber(take()), take()
  column(key, width, packed)
end

local dictionaries = { { NM, ARGV[6] }, { US, ARGV[7] }, { QU, ARGV[6] }, { WK, ARGV[6] }, { EN, ARGV[6] }, { ER, ARGV[6] } }
for d, dictionary in ipairs(dictionaries) do
  local codes = { [0] = '\0\0\0\0' }
  for i = 1, tonumber(take()) do
    codes[i] = struct.pack('<I4', code(KEYS[FRAME - 1 + 2 * d], take(), dictionary[2]))
  end
  if #codes > 0 then
    local which, cells = take(), {}
    for i = 1, count do cells[i] = codes[struct.unpack('<I2', which, 2 * i - 1)] end
    column(P .. dictionary[1], 4, table.concat(cells))
  end
end

for _ = 1, tonumber(take()) do
  local key, entries = PREFIX .. take(), take()
  call('APPEND', key, entries)
end

for _ = 1, tonumber(take()) do
  local key, values = PREFIX .. take(), tonumber(take())
  if values == 1 then
    call('SET', key, take())
  else
    call('HSET', key, unpack(ARGV, at + 1, at + values))
    at = at + values
  end
end

for i = 0, 7 do
  local low, high = struct.unpack('<I8I8', ARGV[10], i * 16 + 1)
  if high > 0 then
    local old_low, old_high = struct.unpack('<I8I8', call('GETRANGE', P .. Z, 8 + i * 16, 23 + i * 16))
    if old_high > 0 then low, high = math.min(low, old_low), math.max(high, old_high) end
    call('SETRANGE', P .. Z, 8 + i * 16, struct.pack('<I8I8', low, high))
  end
end
column(P .. LOADED, 8, string.rep(struct.pack('<I8', now), count))
touch(version, TOKEN)
call('SETRANGE', P .. ST, first, ARGV[9])
return { 1 }
