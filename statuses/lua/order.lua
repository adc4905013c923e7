-- A worker shall do something: it hears of it with its next report.
-- KEYS[1] presence (hash, read); [2] presence:orders (hash: field -> what).
-- ARGV[1] field; [2] what.
-- Returns 1 it is written down, in place of what it had not heard yet; 0 no such worker is known. Atomic.
local PRESENCE, ORDERS = KEYS[1], KEYS[2]
local FIELD, WHAT = ARGV[1], ARGV[2]

if not redis.call('HGET', PRESENCE, FIELD) then return 0 end
redis.call('HSET', ORDERS, FIELD, WHAT)
return 1
