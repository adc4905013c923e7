-- AT: where the cells of one row, ROW (ROW_TEXT), are; behind the last cell for a row that a packed segment no longer holds.
-- AT_1, AT_4, AT_8: the same in bytes, for columns of that width. NONE: an empty cell of eight bytes.
local AT, AT_1, NONE = ROW, ROW_TEXT, '\0\0\0\0\0\0\0\0'
if PACKED then
  local low, high = 0, CELLS
  while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('<I2', PACKED, middle * 2 + 1) < ROW then low = middle + 1 else high = middle end
  end
  AT = string.sub(PACKED, low * 2 + 1, low * 2 + 2) == pack('<I2', ROW) and low or CELLS
  AT_1 = string.format('%d', AT)
end
local AT_4, AT_8 = string.format('%d', AT * 4), string.format('%d', AT * 8)
