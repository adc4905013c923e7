-- Opens the next segment: the only script that makes a segment's keys.
-- KEYS the new segment's frame; +1 meta (hash); +2 tokens of row writes (see once.lua).
-- ARGV[1] frozen microseconds or ''; [2] token (8 bytes); [3] number of the new segment; [4] format;
-- [5] families; [6] random id for a store that does not exist yet.
-- Returns {current segment, families of the store, format of the store}. Opening one that is open already changes nothing. Atomic.
-- include frame
local META = KEYS[FRAME + 1]
local wanted = tonumber(ARGV[3])

local current = call('HGET', META, 'current')
if not current and wanted > 0 then return { -1, 0, 0 } end
if not current then
  call('HSET', META, 'store', ARGV[6], 'format', ARGV[4], 'families', ARGV[5], 'first', 0, 'dropped', 0)
end
local format, families = tonumber(call('HGET', META, 'format')), tonumber(call('HGET', META, 'families'))
if format > tonumber(ARGV[4]) or (current and tonumber(current) ~= wanted - 1) then
  return { tonumber(current or -1), families, format }
end

local time = call('TIME')
local now = ARGV[1] ~= '' and tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
call('SETRANGE', P .. ST, ROWS - 1, '\0')
for _, key in ipairs({ RN, NM, US, QU }) do call('SETRANGE', P .. key, ROWS * 4 - 1, '\0') end
for _, key in ipairs({ RECORDED, QUEUED, STARTED, SUCCEEDED, RUN, WAIT }) do call('SETRANGE', P .. key, ROWS * 8 - 1, '\0') end
call('SET', P .. Z, struct.pack('<I8', now) .. string.rep('\0', 128))
call('SET', V, struct.pack('<I8', now) .. ARGV[2])
call('SETRANGE', KEYS[FRAME + 2], 4096 * 8 - 1, '\0')
call('SET', P .. N, 0)
call('HSET', META, 'current', wanted)
return { wanted, families, format }
