-- Whole records of rows of one segment; writes nothing.
-- KEYS frame; +1..+6 seals of the dictionaries of FOUR; then j and l of each row.
-- ARGV[1..6] how many texts of each dictionary the reader knows; then the rows.
-- Returns {records, seals}: per row {cells in the order of statuses/record.py, fields as a flat list}, an empty list where
-- no job is; per dictionary the seal of the last text that the reader knows. Atomic.
-- include frame
local FOUR = { NM, US, QU, WK, EN, ER }
local EIGHT = { RECORDED, QUEUED, STARTED, SUCCEEDED, FAILED, KILLED, ASKED, HEARTBEAT, RUN, WAIT, KEEP, LOADED, GONE }
local seals, records = {}, {}
for i = 1, 6 do
  local known = tonumber(ARGV[i])
  seals[i] = known > 0 and call('GETRANGE', KEYS[FRAME + i], known * 4 - 4, known * 4 - 1) or ''
end
for i = 1, #ARGV - 6 do
  local row = tonumber(ARGV[6 + i])
  local bytes = bytes_of(ST, row, 1)
  local state = bytes ~= '' and string.byte(bytes) or 0
  if state == 0 then
    records[i] = {}
  else
    local parts = { bytes, bytes_of(RN, row, 4) }
    for _, key in ipairs(FOUR) do parts[#parts + 1] = struct.pack('<I4', number(key, row, 4)) end
    for _, key in ipairs(EIGHT) do parts[#parts + 1] = struct.pack('<I8', number(key, row, 8)) end
    local fields = call('HGETALL', KEYS[FRAME + 5 + 2 * i])
    for _, value in ipairs(call('HGETALL', KEYS[FRAME + 6 + 2 * i])) do fields[#fields + 1] = value end
    records[i] = { table.concat(parts), fields }
  end
end
return { records, seals }
