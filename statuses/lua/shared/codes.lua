-- The code of a text in a dictionary (hash text -> code; beside it, in `:list`, code - 1 -> text), made when it is new;
-- 0 for ''. A full dictionary takes '(other)' as its last entry. A code below 0 is marked: a cleaner found no cell
-- with it and is looking again; who takes it takes the mark away, and the cleaner leaves it alone.
-- Beside each new code stand 4 bytes of the write's token, its seal: after a failover that took codes back the same code
-- may stand for another text.
local function code(codes, text, limit)
  if text == '' then return 0 end
  local known = call('HGET', codes, text)
  if not known and call('HLEN', codes) >= tonumber(limit) then
    text = '(other)'
    known = call('HGET', codes, text)
  end
  if known then
    known = tonumber(known)
    if known < 0 then call('HSET', codes, text, -known) end
    return math.abs(known)
  end
  local texts = codes .. ':list'
  local new = call('RPUSH', texts, text)
  call('HSET', codes, text, new)
  call('SETRANGE', texts .. ':seals', (new - 1) * 4, string.sub(TOKEN, 1, 4))
  return new
end
