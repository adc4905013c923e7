-- What is told late was so LATE microseconds ago (text; nil: it is told at once): `now` is that moment, not before the job was made.
if LATE then
  now = now - LATE
  -- What went along with something else is milliseconds late, and its job began here: nothing to look at.
  if LATE + 0 > 1000000 then
-- include cell
    now = math.max(now, number(RECORDED, ROW, 8))
  end
end
