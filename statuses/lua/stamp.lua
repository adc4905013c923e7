-- A moment that no other removal has: what tells the rows of one removal from another's.
-- KEYS[1] meta (hash).  ARGV[1] frozen microseconds or ''; [2] microseconds from now.
-- Returns the moment, microseconds, as text. Atomic.
local time = redis.call('TIME')
local now = ARGV[1] ~= '' and tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
local moment = math.max(now + tonumber(ARGV[2]), tonumber(redis.call('HGET', KEYS[1], 'stamp') or '0') + 1)
local text = string.format('%.0f', moment)
redis.call('HSET', KEYS[1], 'stamp', text)
return text
