-- Whole records of rows of one segment; writes nothing.
-- KEYS[1] the segment's version (string); [2..7] seals of the dictionaries (strings). Of each row its hashes j and l are read.
-- ARGV[1..6] how many texts of each dictionary the reader knows; then the rows, ascending.
-- Returns {columns, fields, seals}: of each column in the order of statuses/record.py the cells of all rows, fewer where the
-- column is shorter; per row its fields as a flat list, empty where no job is; per dictionary the seal of the last text that
-- the reader knows. Atomic.
-- include frame
-- include span
local FOUR = { RN, NM, US, QU, WK, EN, ER }
local EIGHT = { RECORDED, QUEUED, STARTED, SUCCEEDED, FAILED, KILLED, ASKED, HEARTBEAT, RUN, WAIT, KEEP, LOADED, GONE }
local rows, fields, seals = {}, {}, {}
for i = 7, #ARGV do rows[i - 6] = tonumber(ARGV[i]) end
local found = open(rows)
local side_by_side = found == #rows and last - first + 1 == found

local function cells_of(key, width)
  if side_by_side then return call('GETRANGE', P .. key, first * width, (last + 1) * width - 1) end
  if call('STRLEN', P .. key) == 0 then return '' end
  local cells = {}
  for i = 1, #rows do
    local bytes = bytes_of(key, rows[i], width)
    cells[i] = #bytes == width and bytes or ZEROS[width]
  end
  return table.concat(cells)
end

local columns = { cells_of(ST, 1) }
for _, key in ipairs(FOUR) do columns[#columns + 1] = cells_of(key, 4) end
for _, key in ipairs(EIGHT) do columns[#columns + 1] = cells_of(key, 8) end
for i, row in ipairs(rows) do
  fields[i] = {}
  if (string.byte(columns[1], i) or 0) ~= 0 then
    local flat = call('HGETALL', P .. 'j' .. row)
    for _, value in ipairs(call('HGETALL', P .. 'l' .. row)) do flat[#flat + 1] = value end
    fields[i] = flat
  end
end
for i = 1, 6 do
  local known = tonumber(ARGV[i])
  seals[i] = known > 0 and call('GETRANGE', KEYS[1 + i], known * 4 - 4, known * 4 - 1) or ''
end
return { columns, fields, seals }
