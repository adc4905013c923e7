-- What only the job's own page shows: fields, data, a heartbeat. No answer of a query is cached
-- that depends on them, so the segment's version stays.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] "1": heartbeat, "2": one where the job gave any before; [7] "1": data follows, "2": kept only where there is none; [8] data, '' for none; then pairs of field and value, k: the call.
-- Returns 1; -1 no such job. Atomic.
-- include row
-- include fields
if not state then return -1 end
local L, D, C = P .. 'l' .. ARGV[3], P .. 'd' .. ARGV[3], P .. 'k' .. ARGV[3]
for i = 9, #ARGV, 2 do
  if ARGV[i] == 'k' then
    call('SET', C, ARGV[i + 1])
  elseif ARGV[i + 1] == '' then
    call('HDEL', J, ARGV[i])
    call('HDEL', L, ARGV[i])
  else
    set_field(J, L, ARGV[i], ARGV[i + 1])
  end
end
if ARGV[8] ~= '' then
  if ARGV[7] == '1' then call('SET', D, ARGV[8]) else call('SETNX', D, ARGV[8]) end
elseif ARGV[7] == '1' then
  call('UNLINK', D)
end
if ARGV[6] == '1' or ARGV[6] == '2' and number(HEARTBEAT, ROW, 8) > 0 then
  local now = clock(FROZEN)
  put_new(HEARTBEAT, ROW, 8, now)
end
return 1
