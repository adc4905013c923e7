-- A kill request is spent once the job was killed after it. It stays with the ended job, as what led to its end,
-- and goes when the job leaves its end: a killed job that goes on is not asked to die again. The moment of a job that was killed
-- before says nothing, for it stays the first one; but nobody is asked who has ended.
local function is_spent(row)
  if not ended(state) then return false end
  local asked = number(ASKED, row, 8)
  return asked > 0 and (state == 6 or number(KILLED, row, 8) >= asked)
end
