-- A segment and its cells, by row: of any row. For one row cell.lua is quicker, for many span.lua.
-- include keys
-- include head
-- include version
local found_row, found_cell

-- Where a row's cells are; behind the last cell for a row that a packed segment no longer holds.
local function cell(row)
  if not PACKED then return row end
  if row == found_row then return found_cell end
  local low, high, seen = 0, CELLS, nil
  while low < high do
    local middle = math.floor((low + high) / 2)
    seen = struct.unpack('<I2', PACKED, middle * 2 + 1)
    if seen == row then
      low = middle
      break
    elseif seen < row then
      low = middle + 1
    else
      high = middle
    end
  end
  found_row, found_cell = row, seen == row and low or CELLS
  return found_cell
end

-- A row's bytes in a column, '' where there are none.
local function bytes_of(key, row, width)
  local first = cell(row) * width
  return call('GETRANGE', P .. key, first, first + width - 1)
end

local function number(key, row, width)
  local bytes = bytes_of(key, row, width)
  if #bytes < width then return 0 end
  return (struct.unpack('<I' .. width, bytes))
end

local function put(key, row, width, value)
  call('SETRANGE', P .. key, cell(row) * width, struct.pack('<I' .. width, value))
end

-- A column that is made on first use, in its full length: growing bit by bit would double its memory.
local made = {}
local function put_new(key, row, width, value)
  if not made[key] then
    if call('STRLEN', P .. key) == 0 then
      if value == 0 then return end
      call('SETRANGE', P .. key, CELLS * width - 1, '\0')
    end
    made[key] = true
  end
  put(key, row, width, value)
end
