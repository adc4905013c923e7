-- Whole records of rows of one segment; writes nothing.
-- KEYS frame; then j and l of each row.  ARGV: the rows.
-- Returns per row {cells in the order of statuses/record.py, fields as a flat list}; an empty list where no job is. Atomic.
-- include frame
local FOUR = { NM, US, QU, WK, EN, ER }
local EIGHT = { RECORDED, QUEUED, STARTED, SUCCEEDED, FAILED, KILLED, ASKED, HEARTBEAT, RUN, WAIT, KEEP, LOADED, GONE }
local records = {}
for i, text in ipairs(ARGV) do
  local row = tonumber(text)
  local bytes = bytes_of(ST, row, 1)
  local state = bytes ~= '' and string.byte(bytes) or 0
  if state == 0 then
    records[i] = {}
  else
    local parts = { bytes, bytes_of(RN, row, 4) }
    for _, key in ipairs(FOUR) do parts[#parts + 1] = struct.pack('<I4', number(key, row, 4)) end
    for _, key in ipairs(EIGHT) do parts[#parts + 1] = struct.pack('<I8', number(key, row, 8)) end
    local fields = call('HGETALL', KEYS[FRAME + 2 * i - 1])
    for _, value in ipairs(call('HGETALL', KEYS[FRAME + 2 * i])) do fields[#fields + 1] = value end
    records[i] = { table.concat(parts), fields }
  end
end
return records
