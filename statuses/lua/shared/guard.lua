-- Whether a guarded write may happen, `allowed`. ATTEMPT and SOURCES: see verb.lua.
local allowed = (ATTEMPT < 0 or (call('HGET', J, 'n') or 0) + 0 == ATTEMPT) and SOURCES % 2 ^ (state + 1) >= 2 ^ state
