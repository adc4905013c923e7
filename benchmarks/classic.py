"""The classic design, as a peer for measurements: a hash a job, a set of ids for each value, sorted sets for times.

One script a verb, so that its cost is counted as ours is (INFO commandstats of EVALSHA)."""

from typing import Any

_CREATE = """
-- KEYS[1] job (hash). ARGV: id, microseconds, name, queue, user, resource, provider job id.
local id, at = ARGV[1], ARGV[2]
redis.call('HSET', KEYS[1], 'id', id, 'state', 'queued', 'job_name', ARGV[3], 'queue', ARGV[4], 'user', ARGV[5],
           'job_args', ARGV[6], 'provider_job_id', ARGV[7], 'recorded_at', at, 'queued_at', at)
redis.call('SADD', 'c:state:queued', id)
redis.call('SADD', 'c:name:' .. ARGV[3], id)
redis.call('SADD', 'c:queue:' .. ARGV[4], id)
redis.call('SADD', 'c:user:' .. ARGV[5], id)
redis.call('SADD', 'c:resource:' .. ARGV[6], id)
redis.call('SET', 'c:provider:' .. ARGV[7], id)
redis.call('ZADD', 'c:recorded_at', at, id)
redis.call('ZADD', 'c:queued_at', at, id)
return 1
"""
_MOVE = """
-- KEYS[1] job (hash). ARGV: id, microseconds, state left, state entered.
local id, at, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', KEYS[1], 'state') ~= from then return 0 end
redis.call('HSET', KEYS[1], 'state', to, to .. '_at', at)
redis.call('SMOVE', 'c:state:' .. from, 'c:state:' .. to, id)
redis.call('ZADD', 'c:' .. to .. '_at', at, id)
local began = redis.call('HMGET', KEYS[1], 'queued_at', 'started_at')
if to == 'started' then
  redis.call('ZADD', 'c:wait_time', at - began[1], id)
elseif began[2] then
  redis.call('ZADD', 'c:run_time', at - began[2], id)
end
return 1
"""


class Classic:
    """Jobs in the classic design, each a hash `job:<id>`; indexes under keys that begin with `c:`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._create = client.script_load(_CREATE)
        self._move = client.script_load(_MOVE)

    def create(
        self, id: str, at_us: int, name: str, queue: str, user: str, resource: str, provider_job_id: str, client: Any = None
    ) -> Any:
        """A queued job; in a pipeline where one is given as `client`."""
        arguments = (id, at_us, name, queue, user, resource, provider_job_id)
        return (client or self._client).execute_command("EVALSHA", self._create, 1, f"job:{id}", *arguments)

    def move(self, id: str, at_us: int, source: str, target: str, client: Any = None) -> Any:
        """From one state to another, with its time, its wait or its run."""
        return (client or self._client).execute_command("EVALSHA", self._move, 1, f"job:{id}", id, at_us, source, target)
