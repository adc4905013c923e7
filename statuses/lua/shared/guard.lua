-- Whether a guarded write may happen, `allowed`. ATTEMPT: a number or ''; SOURCES: state codes as digits, or ''.
local allowed = (ATTEMPT == '' or (call('HGET', J, 'n') or '0') == ATTEMPT)
  and (SOURCES == '' or string.find(SOURCES, string.char(48 + state), 1, true))
