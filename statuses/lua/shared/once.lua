-- A write whose reply was lost is sent a second time. The token of a row's last write stands in one of 4096 cells
-- that the rows of a segment share: two rows meet in one only when they lie a multiple
-- of 4096 apart and are written between one sending and the next.
local TOKENS, SLOT = P .. 'w', ROW % 4096 * 8

-- Scripts with this part take ARGV[6] "1" when sent a second time.
local sent_before = ARGV[6] == '1' and call('GETRANGE', TOKENS, SLOT, SLOT + 7) == TOKEN

local function remember()
  call('SETRANGE', TOKENS, string.format('%d', SLOT), TOKEN)
end
