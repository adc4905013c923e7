-- Entering a state: the byte, the first entry's moment, and the two spans that follow from them.
local MOMENT = { [2] = QUEUED, [3] = STARTED, [4] = SUCCEEDED, [5] = FAILED, [6] = KILLED }

local function ended(state)
  return state >= 4 and state <= 6
end

local function put_wait(row, started)
  local from = number(QUEUED, row, 8)
  if from == 0 then from = number(RECORDED, row, 8) end
  put(WAIT, row, 8, (from > 0 and started >= from) and started - from + 1 or 0)
end

-- A job that had not ended has no run time yet: no need to write another zero.
local function put_run(row, from, at)
  local started = number(STARTED, row, 8)
  local span = (started > 0 and at >= started) and at - started + 1 or 0
  if span > 0 or ended(from) then put(RUN, row, 8, span) end
end

local function enter(row, from, target, now)
  local moment, at = MOMENT[target], now
  if moment then
    local first = number(moment, row, 8)
    if first > 0 then at = first else put_new(moment, row, 8, now) end
  end
  if target == 3 then
    put_wait(row, at)
  elseif target == 2 and at == now then
    local started = number(STARTED, row, 8)
    if started > 0 then put_wait(row, started) end
  end
  if ended(target) then
    put_run(row, from, at)
  elseif ended(from) then
    put(RUN, row, 8, 0)
  end
  put(ST, row, 1, target)
end
