-- One live row (see job.lua), with functions for its cells, its attempt and the segment's version.
-- include job
-- include version
-- include cell
-- include attempt

-- Whether a guarded write may happen. attempt: number or ''; sources: state codes as digits, or ''.
local function allowed(attempt, sources)
  if attempt ~= '' and present_attempt() ~= tonumber(attempt) then return false end
  return sources == '' or string.find(sources, tostring(state), 1, true) ~= nil
end
