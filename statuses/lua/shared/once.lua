-- A write whose reply was lost is sent a second time. The token of a row's last write stands in one of 4096 cells
-- that the rows of a segment share: two rows meet in one only when they lie a multiple
-- of 4096 apart and are written between one sending and the next. Written by sign.lua.
-- AGAIN: "1" when sent a second time.
local SLOT = ROW % 4096 * 8
local sent_before = AGAIN == '1' and call('GETRANGE', P .. 'w', SLOT, SLOT + 7) == TOKEN
