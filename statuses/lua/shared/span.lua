-- Many rows of a segment in one script: `cell`, `bytes_of`, `number`, `put` and `put_new` of frame.lua once more, on columns
-- that are read once from the first to the last of the rows given to `open`, and written in runs by `write_back`, with which a
-- script that puts anything must end. A command for each cell would cost more than all that is done with it.
-- Cells are put in the order of their rows, each once, and not read again after that; a column that is filled is not put to.
-- Rows so far apart, on the average, that a command each costs less than reading what lies between.
local FAR = 64
-- Cells between two changed ones that cost less to write once more than another command.
local GAP = 64
local ZEROS = { [1] = '\0', [4] = '\0\0\0\0', [8] = '\0\0\0\0\0\0\0\0' }
local FORMATS = { [1] = '<I1', [4] = '<I4', [8] = '<I8' }
local sub, unpacked = string.sub, struct.unpack
local places, spanned = {}, {}
local first, last, dense = 0, -1, true

-- rows: all that will be asked for, ascending. A row that has no cell has no place. Returns how many have one.
local function open(rows)
  local count, before = 0, -1
  for i = 1, #rows do
    local row = rows[i]
    if row <= before then error('the rows must ascend') end
    before = row
    local at = PACKED and cell(row) or row
    if at < CELLS then
      if count == 0 then first = at end
      places[row], last, count = at, at, count + 1
    end
  end
  dense = last - first < FAR * count and count > 0
  return count
end

local function cell(row)
  return places[row]
end

local function span(key, width)
  local found = { width = width, runs = 0 }
  if dense then
    local text, size = call('GETRANGE', P .. key, first * width, (last + 1) * width - 1), (last + 1 - first) * width
    local zeros = string.rep('\0', size)
    found.text = #text == size and text or text .. sub(zeros, #text + 1)
    found.blank = found.text == zeros
  end
  spanned[key] = found
  return found
end

local function bytes_of(key, row, width)
  local at = places[row]
  if not at then return '' end
  local text = (spanned[key] or span(key, width)).text
  if text then return sub(text, (at - first) * width + 1, (at - first + 1) * width) end
  return call('GETRANGE', P .. key, at * width, (at + 1) * width - 1)
end

local function number(key, row, width)
  local column = spanned[key] or span(key, width)
  if column.blank then return 0 end
  local at, text = places[row], column.text
  if at and text then return (unpacked(FORMATS[width], text, (at - first) * width + 1)) end
  local bytes = bytes_of(key, row, width)
  if #bytes < width then return 0 end
  return (unpacked(FORMATS[width], bytes))
end

-- The cells of some rows, by their position.
local function numbers(key, rows, width)
  local column, found, format = spanned[key] or span(key, width), {}, FORMATS[width]
  local text, blank = column.text, column.blank
  for i = 1, #rows do
    local at = text and not blank and places[rows[i]]
    found[i] = blank and 0 or at and unpacked(format, text, (at - first) * width + 1) or number(key, rows[i], width)
  end
  return found
end

-- Whether none of the rows has anything in a column, as far as can be told without looking at each.
local function is_blank(key, width)
  return (spanned[key] or span(key, width)).blank
end

local function put(key, row, width, value)
  local column, at = spanned[key] or span(key, width), places[row]
  local runs = column.runs
  if runs == 0 then
    -- Cells next to each other with one value: where they begin, the value, how many.
    column.starts, column.values, column.lengths = {}, {}, {}
  end
  if at == column.next and value == column.values[runs] then
    column.lengths[runs] = column.lengths[runs] + 1
  else
    runs = runs + 1
    column.runs, column.starts[runs], column.values[runs], column.lengths[runs] = runs, at, value, 1
  end
  column.next = at + 1
end

local put_new = put

-- Puts into columns, key -> { width, value }, one value at all of some rows.
local function fill(columns, rows)
  local starts, lengths, runs, following = {}, {}, 0, nil
  for i = 1, #rows do
    local at = places[rows[i]]
    if at == following then
      lengths[runs] = lengths[runs] + 1
    else
      runs = runs + 1
      starts[runs], lengths[runs] = at, 1
    end
    following = at + 1
  end
  for key, given in pairs(columns) do
    local column = spanned[key] or span(key, given[1])
    column.runs, column.starts, column.lengths, column.value = runs, starts, lengths, given[2]
  end
end

local function write_column(key)
  local column = spanned[key]
  if not column or column.runs == 0 then return end
  local width, text, starts, values, lengths = column.width, column.text, column.starts, column.values, column.lengths
  local gap, from, parts, number_of_parts = dense and GAP or 0, starts[1], {}, 0
  if call('STRLEN', P .. key) == 0 then call('SETRANGE', P .. key, CELLS * width - 1, '\0') end
  local bytes = setmetatable({}, { __index = function(known, value)
    known[value] = struct.pack(FORMATS[width], value)
    return known[value]
  end })
  for i = 1, column.runs do
    local length, value = lengths[i], bytes[column.value or values[i]]
    parts[number_of_parts + 1] = length == 1 and value or string.rep(value, length)
    number_of_parts = number_of_parts + 1
    local after, following = starts[i] + length, starts[i + 1]
    if not following or following > after + gap then
      call('SETRANGE', P .. key, from * width, table.concat(parts))
      from, parts, number_of_parts = following, {}, 0
    elseif following > after then
      number_of_parts = number_of_parts + 1
      parts[number_of_parts] = sub(text, (after - first) * width + 1, (following - first) * width)
    end
  end
end

-- The states last: they are what makes the rest count.
local function write_back()
  for key in pairs(spanned) do
    if key ~= ST then write_column(key) end
  end
  write_column(ST)
end
