-- The keys of one segment, and its version.
-- KEYS[1] is the key of its version; every other one begins with the same prefix, P, and is named here by what follows, in the
-- order of statuses/columns.py. A script puts P before it where it uses it: a key handed over costs the server and the client
-- more than three made here, and a write on one row uses a third of them. A cluster's clients declare them all the same, behind
-- those that a script names, for a slot that is half moved must answer TRYAGAIN.
-- FRAME: how many keys a script on many rows is given before its own; in its header `+n` is KEYS[FRAME + n].
-- What stands here runs with every write. create, start, move and finish are plain statements as far as they usually go, and what
-- is seldom needed is included in the branch that needs it: a function costs a tenth of a command to make, called or not, and as
-- much again with every few locals it sees. `+ 0` makes a number of a text for a third of what tonumber costs, a name that is no
-- local is looked up each time, and a number handed to a command, or a table given back, costs as much as a command: older servers
-- turn the one into text by way of printf, and look in the other for errors and all kinds of replies.
local KEYS, ARGV = KEYS, ARGV
local ROWS = 65520
local V = KEYS[1]
local P = string.sub(V, 1, -2)
local N, Z = 'n', 'z'
local ST, RN, NM, US, QU = 'st', 'rn', 'nm', 'us', 'qu'
local WK, EN, ER = 'wk', 'en', 'er'
local RECORDED, QUEUED, STARTED = 'recorded_at', 'queued_at', 'started_at'
local SUCCEEDED, FAILED, KILLED = 'succeeded_at', 'failed_at', 'killed_at'
local RUN, WAIT = 'run', 'wait'
local ASKED, HEARTBEAT, KEEP, LOADED, GONE = 'kill_requested_at', 'heartbeat_at', 'keep_for', 'loaded_at', 'gone_at'
local ATTEMPTS, NUMBERS = 'at', 'rows'
local FRAME = 26
local call, pack = redis.call, struct.pack
