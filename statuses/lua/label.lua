-- Name, user, queue, worker, engine and keep_for of a job.
-- KEYS[1] the segment's version (string).
-- ARGV[1..5] see job.lua; [6] keep_for microseconds + 1, 0 for the policy's, '' to leave it; [7] the resource until whose
-- deletion the job is kept from now on, or '': no longer; with [6] '0' only where it is kept until that one's; then per text:
-- the end of its column's key, the dictionary, the text ('' for none), the dictionary's limit.
-- Returns 1; 0 it is not kept until the deletion of that; -1 no such job. Atomic.
-- include row
-- include fields
-- include family
-- include codes
if not state then return -1 end
local L = P .. 'l' .. ARGV[3]
if ARGV[6] == '0' and ARGV[7] ~= '' and get_field(J, L, 'K') ~= ARGV[7] then return 0 end
local _, version = clock(FROZEN)
touch(version, TOKEN)
for i = 8, #ARGV, 4 do put_new(ARGV[i], ROW, 4, code(T .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])) end
if ARGV[6] ~= '' then
  put_new(KEEP, ROW, 8, tonumber(ARGV[6]))
  if ARGV[6] ~= '0' and ARGV[7] ~= '' then
    set_field(J, L, 'K', ARGV[7])
  else
    call('HDEL', J, 'K')
    call('HDEL', L, 'K')
  end
end
return 1
