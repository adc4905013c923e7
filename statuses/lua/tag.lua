-- Replaces an indexed field (job_args, provider job id) and its postings.
-- KEYS[1] the segment's version (string); [2..] postings (strings) of the old tags, then of the new ones.
-- ARGV[1..5] see job.lua; [6] field; [7] its text as the caller knows it, or ''; [8] the new text, or '';
-- [9] number of old tags; then 6 hash bytes per posting, in the order of the keys.
-- Returns {1}; {2, text} the field holds another text; {-1} no such job. Atomic.
-- include row
-- include fields
if not state then return { -1 } end
local L = P .. 'l' .. ARGV[3]
local present = get_field(J, L, ARGV[6]) or ''
if present ~= ARGV[7] then return { 2, present } end
local packed, old = struct.pack('<I2', ROW), tonumber(ARGV[9])
local _, version = clock(FROZEN)
touch(version, TOKEN)

local function bury(key, entry)
  local all, at = call('GET', key) or '', 1
  while true do
    at = string.find(all, entry, at, true)
    if not at then return end
    if (at - 1) % 8 == 0 then
      call('SETRANGE', key, at - 1, '\255\255')
      at = at + 8
    else
      at = at + 1
    end
  end
end

for i = 10, 9 + old do bury(KEYS[i - 8], packed .. ARGV[i]) end
for i = 10 + old, #ARGV do call('APPEND', KEYS[i - 8], packed .. ARGV[i]) end
if ARGV[8] == '' then
  call('HDEL', J, ARGV[6])
  call('HDEL', L, ARGV[6])
else
  set_field(J, L, ARGV[6], ARGV[8])
end
return { 1 }
