-- The code of a text in a dictionary (hash text -> code, list code - 1 -> text), made when it is new;
-- 0 for ''. A full dictionary takes '(other)' as its last entry.
local function code(codes, texts, text, limit)
  if text == '' then return 0 end
  local known = call('HGET', codes, text)
  if known then return tonumber(known) end
  local size = call('LLEN', texts)
  if size >= tonumber(limit) then
    text = '(other)'
    known = call('HGET', codes, text)
    if known then return tonumber(known) end
  end
  call('RPUSH', texts, text)
  call('HSET', codes, text, size + 1)
  return size + 1
end
