-- A write that changes nothing, and is refused as any other one is: memory full, too few replicas, a replica, a disk that is full.
-- KEYS[1] depth:at (string, or not there).
-- Returns how long that is. Atomic.
return redis.call('SETRANGE', KEYS[1], 0, '')
