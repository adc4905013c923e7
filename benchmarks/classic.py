"""The classic design, for comparison: a hash a job, and sets and sorted sets of ids for everything one filters by.

What dashboards keep in Redis today: one set a state, name, queue, user and resource, one sorted set a timestamp."""

from typing import Any

#: ARGV id, microseconds, name, queue, user, resource, provider id. One atomic step.
CREATE = """
local id, now = ARGV[1], ARGV[2]
redis.call('HSET', 'job:' .. id, 'id', id, 'state', 'queued', 'job_name', ARGV[3], 'queue', ARGV[4], 'user', ARGV[5],
  'job_args', ARGV[6], 'provider_job_id', ARGV[7], 'engine', 'celery', 'recorded_at', now, 'queued_at', now)
redis.call('ZADD', 'all', now, id)
redis.call('ZADD', 'state:queued', now, id)
redis.call('ZADD', 'name:' .. ARGV[3], now, id)
redis.call('ZADD', 'queue:' .. ARGV[4], now, id)
redis.call('ZADD', 'user:' .. ARGV[5], now, id)
redis.call('ZADD', 'engine:celery', now, id)
redis.call('SADD', 'resource:' .. ARGV[6], id)
redis.call('SET', 'provider:' .. ARGV[7], id)
redis.call('ZADD', 'queued_at', now, id)
return 1
"""
#: ARGV id, microseconds, from, to. Entering a state: its set, its moment, and the span that follows.
MOVE = """
local id, now, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('ZREM', 'state:' .. from, id)
redis.call('ZADD', 'state:' .. to, now, id)
redis.call('HSET', 'job:' .. id, 'state', to, to .. '_at', now)
redis.call('ZADD', to .. '_at', now, id)
local earlier = redis.call('HGET', 'job:' .. id, from .. '_at')
redis.call('ZADD', to == 'started' and 'wait_time' or 'run_time', now - earlier, id)
return 1
"""
#: ARGV id, microseconds. Asking a job to die.
KILL = """
local id = ARGV[1]
if redis.call('HSETNX', 'job:' .. id, 'kill_requested_at', ARGV[2]) == 1 then redis.call('ZADD', 'kill_requested_at', ARGV[2], id) end
return 1
"""
#: ARGV id. Everything of a job.
REMOVE = """
local id = ARGV[1]
local found = redis.call('HMGET', 'job:' .. id, 'state', 'job_name', 'queue', 'user', 'job_args', 'provider_job_id')
redis.call('ZREM', 'state:' .. found[1], id)
redis.call('ZREM', 'name:' .. found[2], id)
redis.call('ZREM', 'queue:' .. found[3], id)
redis.call('ZREM', 'user:' .. found[4], id)
redis.call('SREM', 'resource:' .. found[5], id)
for _, name in ipairs({'all', 'engine:celery', 'queued_at', 'started_at', 'succeeded_at', 'failed_at', 'killed_at', 'kill_requested_at',
  'wait_time', 'run_time'}) do
  redis.call('ZREM', name, id)
end
redis.call('DEL', 'job:' .. id, 'provider:' .. found[6])
return 1
"""


class Classic:
    """The classic design on one client."""

    def __init__(self, client: Any) -> None:
        self._create, self._move = client.register_script(CREATE), client.register_script(MOVE)
        self._kill, self._remove = client.register_script(KILL), client.register_script(REMOVE)

    def create(self, id: str, now: int, name: str, queue: str, user: str, resource: str, provider: str, client: Any = None) -> None:
        """A queued job."""
        self._create(args=[id, now, name, queue, user, resource, provider], client=client)

    def move(self, id: str, now: int, source: str, target: str, client: Any = None) -> None:
        """Enter a state."""
        self._move(args=[id, now, source, target], client=client)

    def kill(self, id: str, now: int, client: Any = None) -> None:
        """Ask it to die."""
        self._kill(args=[id, now], client=client)

    def remove(self, id: str, client: Any = None) -> None:
        """Take it away."""
        self._remove(args=[id], client=client)
