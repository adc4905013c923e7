-- A chore tells of a round; what is old, and what is too many, goes.
-- KEYS[1] upkeep (hash: field -> microseconds, newline, JSON).
-- ARGV[1] frozen microseconds or ''; [2] field; [3] JSON; [4] microseconds for which one that tells nothing more is kept;
-- [5] most entries kept, the oldest go.
-- Returns the moment, microseconds, as text. Atomic.
local UPKEEP = KEYS[1]
local FROZEN, FIELD, REPORT, KEPT, MOST = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local call = redis.call
-- include now
local moment = string.format('%.0f', now)

call('HSET', UPKEEP, FIELD, moment .. '\n' .. REPORT)
-- So few that they are looked through each time.
local all, kept = call('HGETALL', UPKEEP), {}
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^%d+')) or 0
  if now - at > KEPT then
    call('HDEL', UPKEEP, all[i])
  else
    kept[#kept + 1] = { at, all[i] }
  end
end
if #kept > MOST then
  table.sort(kept, function(a, b) return a[1] < b[1] end)
  for i = 1, #kept - MOST do call('HDEL', UPKEEP, kept[i][2]) end
end
return moment
