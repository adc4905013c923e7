-- What the present attempt was, kept under `P a<row>:<n>`, and a clean row for the next one.
-- Field c: the cells in the order below, raw. What survives stays in the row. Returns the number of the new attempt.
local function archive(row)
  local attempt = present_attempt()
  local L, D, E = P .. 'l' .. ROW_TEXT, P .. 'd' .. ROW_TEXT, P .. 'e' .. ROW_TEXT
  local target = P .. 'a' .. string.format('%d:%d', row, attempt)
  local cells = { bytes_of(ST, row, 1) }
  for _, key in ipairs({ NM, US, QU, WK, EN, ER }) do cells[#cells + 1] = struct.pack('<I4', number(key, row, 4)) end
  for _, key in ipairs({ RECORDED, QUEUED, STARTED, SUCCEEDED, FAILED, KILLED, ASKED, HEARTBEAT, RUN, WAIT }) do
    cells[#cells + 1] = struct.pack('<I8', number(key, row, 8))
  end
  local record = { 'c', table.concat(cells) }
  for _, name in ipairs({ 'g', 'm', 'b', 'y', 'o', 'p' }) do
    local value = get_field(J, L, name)
    if value then
      record[#record + 1] = name
      record[#record + 1] = value
    end
  end
  call('HSET', target, unpack(record))
  if call('EXISTS', D) == 1 then call('RENAME', D, target .. 'd') end
  if call('EXISTS', E) == 1 then call('RENAME', E, target .. 'e') end
  call('HDEL', J, 'g', 'm', 'o')
  call('HDEL', L, 'g', 'm', 'o')
  for _, key in ipairs({ WK, ER }) do put_new(key, row, 4, 0) end
  for _, key in ipairs({ STARTED, SUCCEEDED, FAILED, KILLED, HEARTBEAT, RUN, WAIT }) do put_new(key, row, 8, 0) end
  known_attempt = attempt + 1
  call('HSET', J, 'n', attempt + 1)
  put_new(ATTEMPTS, row, 1, math.min(attempt + 1, 255))
  return attempt + 1
end
