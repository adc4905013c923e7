-- The hash tag of the family, T, with which the keys of its dictionaries begin.
local T = string.match(P, '^.*}')
