-- A queue is paused, or goes on.
-- KEYS[1] paused (hash: field -> microseconds, newline, JSON).
-- ARGV[1] frozen microseconds or ''; [2] field; [3] JSON, '' when it goes on; [4] most queues that can be paused.
-- Returns 1 changed; 0 it was so already, and stays as it was; -1 too many are paused. Atomic.
local PAUSED = KEYS[1]
local FROZEN, FIELD, ABOUT, MOST = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call

if ABOUT == '' then return call('HDEL', PAUSED, FIELD) end
if call('HGET', PAUSED, FIELD) then return 0 end
if call('HLEN', PAUSED) >= MOST then return -1 end
-- include now
call('HSET', PAUSED, FIELD, string.format('%.0f', now) .. '\n' .. ABOUT)
return 1
