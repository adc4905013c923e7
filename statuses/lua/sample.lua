-- What waits in each queue at this moment, into the day's cells; the largest of a cell's samples stays.
-- KEYS[1] depth:at (string: microseconds of the last sample); [2] depth:<day> (hash: queue -> cells of 8 bytes, waiting + 1
-- and seconds of the oldest + 1, u32 each, 0 none); the others are days that are dropped.
-- ARGV[1] microseconds now; [2] least microseconds between two samples; [3] number of the cell in its day, from 0;
-- [4] most queues a day; then queue, waiting, seconds for each.
-- Returns how many queues were written; -1 somebody else took this sample. Atomic.
local AT, DAY = KEYS[1], KEYS[2]
local NOW, LEAST, CELL, MOST = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local call = redis.call

local last = tonumber(call('GET', AT) or '0')
if NOW - last < LEAST and NOW >= last then return -1 end
call('SET', AT, ARGV[1])
for i = 3, #KEYS do call('UNLINK', KEYS[i]) end
local written, room = 0, MOST - call('HLEN', DAY)
for i = 5, #ARGV, 3 do
  local cells = call('HGET', DAY, ARGV[i])
  if cells or room > 0 then
    if not cells then
      cells, room = '', room - 1
    end
    local waiting, oldest = tonumber(ARGV[i + 1]) + 1, tonumber(ARGV[i + 2]) + 1
    local from = CELL * 8
    if #cells < from then cells = cells .. string.rep('\0', from - #cells) end
    if #cells >= from + 8 then
      local w, o = struct.unpack('<I4I4', cells, from + 1)
      waiting, oldest = math.max(waiting, w), math.max(oldest, o)
    end
    call('HSET', DAY, ARGV[i], string.sub(cells, 1, from) .. struct.pack('<I4I4', waiting, oldest) .. string.sub(cells, from + 9))
    written = written + 1
  end
end
return written
