-- A write whose reply was lost is sent a second time. The token of a row's last write stands in one of 4096 cells
-- that the rows of a segment share (the script's last key): two rows meet in one only when they lie a multiple
-- of 4096 apart and are written between one sending and the next.
local TOKENS = KEYS[#KEYS]

local function slot(row)
  return row % 4096 * 8
end

local function remember(row, token)
  call('SETRANGE', TOKENS, slot(row), token)
end

local function sent_before(row, token)
  return call('GETRANGE', TOKENS, slot(row), slot(row) + 7) == token
end
