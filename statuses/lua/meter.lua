-- Counts one event of a job for the metrics, from the job's own record.
-- KEYS[1] the segment's version (string); [2] the family's metrics (hash: series -> cells of 8 bytes, see metrics.py).
-- ARGV[1..5] see job.lua; [6] "S" it started, "E" it ended, "R" it was queued again; [7] E: code of the state it ended in;
-- [8] S: role of its worker, '' where that is its engine's name; [9] upper bounds of the buckets (u64, microseconds, ascending);
-- [10] series kept: what has none when there are so many counts as "(other)".
-- Returns {task, queue, status code or role, first span, second span}, microseconds + 1 or 0: of S the wait, of E run and recording to
-- end; 0 not counted: it is gone, or has moved on, or had ended before in this attempt, or was killed before it started. Atomic.
-- include job
-- include cell
-- include family
local METRICS, KIND, LABEL, BOUNDS = KEYS[2], ARGV[6], ARGV[8], ARGV[9]
if not state then return 0 end

local function text(column, dictionary)
  local code = number(column, ROW, 4)
  return code > 0 and call('LINDEX', T .. dictionary .. ':list', string.format('%d', code - 1)) or ''
end

local spans = {}
if KIND == 'E' then
  local ends, told, ended_at = { [4] = SUCCEEDED, [5] = FAILED, [6] = KILLED }, 0, 0
  if tostring(state) ~= ARGV[7] then return 0 end
  for code, column in pairs(ends) do
    local moment = number(column, ROW, 8)
    if moment > 0 then told = told + 1 end
    if code == state then ended_at = moment end
  end
  -- Whoever corrects an end, as that of a worker that was taken for lost, ends nothing.
  if told ~= 1 or state == 6 and number(STARTED, ROW, 8) == 0 then return 0 end
  local whole = ended_at - number(RECORDED, ROW, 8) + 1
  LABEL, spans = ARGV[7], { number(RUN, ROW, 8), whole > 0 and whole or 0 }
elseif KIND == 'S' then
  if LABEL == '' then LABEL = text(EN, 'engines') end
  spans = { number(WAIT, ROW, 8) }
end

local function series(...)
  local parts = { KIND }
  for _, part in ipairs({ ... }) do parts[#parts + 1] = string.format('%d:', #part) .. part end
  return table.concat(parts)
end

local task, queue = text(NM, 'names'), text(QU, 'queues')
local field = series(task, queue, LABEL)
local kept = call('HGET', METRICS, field)
if not kept and call('HLEN', METRICS) >= tonumber(ARGV[10]) then
  task, queue = '(other)', '(other)'
  if KIND == 'S' then LABEL = '(other)' end
  field = series(task, queue, LABEL)
  kept = call('HGET', METRICS, field)
end

-- Cells: events; then of each span the sum of microseconds and a count a bucket, the last one without a bound.
local width = #BOUNDS / 8 + 2
local cells, parts, copied = kept or string.rep('\0', 8 * (1 + #spans * width)), {}, 0
-- From left to right: what lies between two cells that change is copied in one piece.
local function add(cell, amount)
  parts[#parts + 1] = string.sub(cells, copied + 1, cell * 8)
  parts[#parts + 1] = pack('<I8', struct.unpack('<I8', cells, cell * 8 + 1) + amount)
  copied = cell * 8 + 8
end
add(0, 1)
for i, span in ipairs(spans) do
  if span > 0 then
    local bucket, high, first = 0, width - 2, 1 + (i - 1) * width
    while bucket < high do
      local middle = math.floor((bucket + high) / 2)
      if struct.unpack('<I8', BOUNDS, middle * 8 + 1) < span - 1 then bucket = middle + 1 else high = middle end
    end
    add(first, span - 1)
    add(first + 1 + bucket, 1)
  end
end
parts[#parts + 1] = string.sub(cells, copied + 1)
cells = table.concat(parts)
call('HSET', METRICS, field, cells)
return { task, queue, LABEL, spans[1] or 0, spans[2] or 0 }
