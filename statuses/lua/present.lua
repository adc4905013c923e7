-- A worker says that it is there, or that it goes.
-- KEYS[1] presence (hash: field -> microseconds, newline, JSON); [2] presence:order (zset: field by that moment);
-- [3] paused (hash, read); [4] presence:orders (hash: field -> what that worker shall do).
-- ARGV[1] frozen microseconds or ''; [2] field; [3] JSON, '' when it goes; [4] microseconds for which a worker that says
-- nothing more is kept; [5] most workers kept, the oldest go.
-- Returns what a worker that reports has to know: what it shall do ('' nothing), told once; the fields of paused. Atomic.
local PRESENCE, ORDER, PAUSED, ORDERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local FROZEN, FIELD, REPORT, KEPT, MOST = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local call = redis.call
-- include now

local function drop(fields)
  for _, field in ipairs(fields) do
    call('HDEL', PRESENCE, field)
    call('ZREM', ORDER, field)
    call('HDEL', ORDERS, field)
  end
end

local shall = call('HGET', ORDERS, FIELD) or ''
if shall ~= '' then call('HDEL', ORDERS, FIELD) end
if REPORT == '' then
  drop({ FIELD })
else
  call('HSET', PRESENCE, FIELD, string.format('%.0f', now) .. '\n' .. REPORT)
  call('ZADD', ORDER, string.format('%.0f', now), FIELD)
end
-- A thousand at once: what is more goes with the next report.
drop(call('ZRANGEBYSCORE', ORDER, '-inf', string.format('%.0f', now - KEPT), 'LIMIT', 0, 1000))
local extra = call('ZCARD', ORDER) - MOST
if extra > 0 then drop(call('ZRANGE', ORDER, 0, math.min(extra, 1000) - 1)) end
return { shall, call('HKEYS', PAUSED) }
