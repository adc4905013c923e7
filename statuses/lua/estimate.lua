-- Who estimates what the statuses take: one at a time; what was estimated last.
-- KEYS[1] estimate (hash: at, microseconds when it was made; cells, of how many rows; found, JSON; begun, microseconds since when one is
-- made).
-- ARGV[1] frozen microseconds or ''; [2] rows that take memory now; [3] microseconds for which one is believed; [4] microseconds after
-- which one that was begun is given up.
-- Returns whether the caller is to make one (1 or 0), how old the last one is in microseconds, its rows, its JSON ('' none). Atomic.
local ESTIMATE = KEYS[1]
local FROZEN, CELLS, BELIEVED, GIVEN_UP = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local call = redis.call
-- include now

local last = call('HMGET', ESTIMATE, 'at', 'cells', 'found', 'begun')
local age, cells = now - (tonumber(last[1] or '') or 0), tonumber(last[2] or '') or 0
local begun = now - (tonumber(last[4] or '') or 0)
local is_mine = 0
-- A clock may have gone back: what is of the future is not believed.
local is_good = last[3] and age >= 0 and age < BELIEVED and math.abs(CELLS - cells) * 10 <= cells
if not is_good and not (last[4] and begun >= 0 and begun < GIVEN_UP) then
  call('HSET', ESTIMATE, 'begun', string.format('%.0f', now))
  is_mine = 1
end
return { is_mine, string.format('%.0f', math.max(age, 0)), cells, last[3] or '' }
