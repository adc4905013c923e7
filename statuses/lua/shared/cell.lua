-- The cells of one row, see at.lua: `bytes_of`, `number`, `put` and `put_new` of frame.lua once more, for scripts on one row alone.
-- Where the cells end, once they are read.
local END_4, END_8

-- The row's bytes in a column, '' where there are none.
local function bytes_of(key, _, width)
  if width == 8 then
    END_8 = END_8 or string.format('%d', AT * 8 + 7)
    return call('GETRANGE', P .. key, AT_8, END_8)
  end
  if width == 1 then return call('GETRANGE', P .. key, AT_1, AT_1) end
  END_4 = END_4 or string.format('%d', AT * 4 + 3)
  return call('GETRANGE', P .. key, AT_4, END_4)
end

local function number(key, _, width)
  local bytes = bytes_of(key, ROW, width)
  if #bytes < width then return 0 end
  return (struct.unpack(width == 8 and '<I8' or width == 4 and '<I4' or '<I1', bytes))
end

local function put(key, _, width, value)
  if width == 8 then return call('SETRANGE', P .. key, AT_8, struct.pack('<I8', value)) end
  if width == 4 then return call('SETRANGE', P .. key, AT_4, struct.pack('<I4', value)) end
  return call('SETRANGE', P .. key, AT_1, struct.pack('<I1', value))
end

-- A column that is made on first use, in its full length: growing bit by bit would double its memory.
local function put_new(key, row, width, value)
  if value == 0 and call('STRLEN', P .. key) == 0 then return end
  if put(key, row, width, value) < CELLS * width then
    call('UNLINK', P .. key)
    call('SETRANGE', P .. key, CELLS * width - 1, '\0')
    put(key, row, width, value)
  end
end
