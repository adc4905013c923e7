-- Entering a state: the byte, the first entry's moment, and the two spans that follow from them.
local function ended(state)
  return state >= 4 and state <= 6
end

-- first: the moment of an earlier entry where it is known, 0 for none.
local function enter(row, from, target, now, first)
  local moment, at = target == 2 and QUEUED or target == 3 and STARTED or target == 4 and SUCCEEDED or target == 5 and FAILED or target == 6 and KILLED, now
  if moment then
    first = first or number(moment, row, 8)
    if first > 0 then at = first else put_new(moment, row, 8, now) end
  end
  if target == 3 or target == 2 and at == now then
    local started = target == 3 and at or number(STARTED, row, 8)
    if started > 0 then
      local since = number(QUEUED, row, 8)
      if since == 0 then since = number(RECORDED, row, 8) end
      put(WAIT, row, 8, (since > 0 and started >= since) and started - since + 1 or 0)
    end
  end
  if ended(target) then
    local started = number(STARTED, row, 8)
    local span = (started > 0 and at >= started) and at - started + 1 or 0
    -- A job that had not ended has no run time yet: no need to write another zero.
    if span > 0 or ended(from) then put(RUN, row, 8, span) end
  elseif ended(from) then
    put(RUN, row, 8, 0)
  end
  put(ST, row, 1, target)
end
