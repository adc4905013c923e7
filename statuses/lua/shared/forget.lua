-- A kill request goes, with who asked and why.
local function forget_request(row)
  put(ASKED, row, 8, 0)
  call('HDEL', J, 'b', 'y')
  call('HDEL', P .. 'l' .. ROW_TEXT, 'b', 'y')
end
