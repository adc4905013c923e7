-- From here on the script writes: its token becomes that of the segment's version, once, and of the row (see once.lua).
-- MOMENT: `now` as a cell.
local MOMENT = pack('<I8', now)
if not signed then call('SETRANGE', V, '0', (version == now and MOMENT or pack('<I8', version)) .. TOKEN) end
signed = true
call('SETRANGE', P .. 'w', string.format('%d', SLOT), TOKEN)
