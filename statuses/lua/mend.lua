-- Writes to a dictionary what a check or a cleaner worked out, if no entry came or went meanwhile.
-- KEYS[1] codes (hash), [2] texts (list), [3] meta (hash).
-- ARGV[1] length of the list, [2] of the hash, as they were read ('': each write checks for itself); [3] token of a cleaner or ''; then
-- threes: what to do, a text, a code:
-- code (the text's code is this), text (the code's text is this; the list grows to hold it), forget (the text, while it has
-- this code), claim (this cleaner is the one that marks), mark (the text, while it has this code), drop (the text, while it is
-- marked, and the code's text). One cleaner marks at a time, the last one to claim: a mark that somebody took away and another
-- cleaner set again looks like the first one's, whose look is older than it.
-- Returns how many dropped; -1 the dictionary is another by now, or another cleaner marks. Atomic.
local CODES, TEXTS, META = KEYS[1], KEYS[2], KEYS[3]
local call = redis.call
local size = call('LLEN', TEXTS)
if ARGV[1] ~= '' and (size ~= tonumber(ARGV[1]) or call('HLEN', CODES) ~= tonumber(ARGV[2])) then return -1 end

if ARGV[3] ~= '' and ARGV[4] ~= 'claim' and call('HGET', META, 'cleaner') ~= ARGV[3] then return -1 end

local dropped = 0
local DO = {}

function DO.code(text, code) call('HSET', CODES, text, code) end

function DO.text(text, code)
  while size < code do size = call('RPUSH', TEXTS, '') end
  call('LSET', TEXTS, code - 1, text)
end

function DO.forget(text, code)
  if tonumber(call('HGET', CODES, text)) == code then call('HDEL', CODES, text) end
end

function DO.claim() call('HSET', META, 'cleaner', ARGV[3]) end

function DO.mark(text, code)
  if tonumber(call('HGET', CODES, text)) == code then call('HSET', CODES, text, -code) end
end

function DO.drop(text, code)
  local known = tonumber(call('HGET', CODES, text) or '0')
  if known == code then return end
  if call('LINDEX', TEXTS, code - 1) ~= text then return end
  if known == -code then call('HDEL', CODES, text) end
  call('LSET', TEXTS, code - 1, '')
  dropped = dropped + 1
end

for i = 4, #ARGV, 3 do DO[ARGV[i]](ARGV[i + 1], tonumber(ARGV[i + 2])) end
-- A moment, not a count: after a failover that took drops back, others must not look like them.
if dropped > 0 then
  local time = call('TIME')
  call('HSET', META, 'dropped', time[1] .. '.' .. time[2])
end
return dropped
