"""The classic design, for comparison: a hash a job, and sets and sorted sets of ids for everything one filters by.

What dashboards keep in Redis today. Of a job: a hash of all its fields; its id in the sorted set of all jobs, of its state, name,
queue, user, engine and worker, in the set of each resource it works on, in one sorted set for each moment it has, and in those of
its waiting and running time; its engine's id as a key that leads to its own. A move is one atomic script: it reads the state the
job is in, refuses to enter it again, and takes the id from one set into the other. What ours does beyond that (a write that is
told when it is sent twice, a version for readers' caches, attempts, removal that can be undone), it does not."""

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
#: ARGV id, microseconds, the state to enter, worker or ''. Entering a state: its set, its moment, and the span that follows.
MOVE = """
local id, now, to, worker = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = redis.call('HMGET', 'job:' .. id, 'state', 'queued_at', 'started_at')
if not found[1] or found[1] == to then return 0 end
redis.call('ZREM', 'state:' .. found[1], id)
redis.call('ZADD', 'state:' .. to, now, id)
redis.call('ZADD', to .. '_at', now, id)
if to == 'started' then
  redis.call('HSET', 'job:' .. id, 'state', to, 'started_at', now, 'worker', worker, 'wait_time', now - found[2])
  redis.call('ZADD', 'worker:' .. worker, now, id)
  redis.call('ZADD', 'wait_time', now - found[2], id)
else
  local ran = found[3] and now - found[3]
  redis.call('HSET', 'job:' .. id, 'state', to, to .. '_at', now, 'progress', '1.0', 'run_time', ran or '')
  if ran then redis.call('ZADD', 'run_time', ran, id) end
end
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
local found = redis.call('HMGET', 'job:' .. id, 'state', 'job_name', 'queue', 'user', 'job_args', 'provider_job_id', 'worker')
redis.call('ZREM', 'state:' .. found[1], id)
redis.call('ZREM', 'name:' .. found[2], id)
redis.call('ZREM', 'queue:' .. found[3], id)
redis.call('ZREM', 'user:' .. found[4], id)
redis.call('SREM', 'resource:' .. found[5], id)
if found[7] then redis.call('ZREM', 'worker:' .. found[7], id) end
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
        self._client = client
        self._create, self._move = client.register_script(CREATE), client.register_script(MOVE)
        self._kill, self._remove = client.register_script(KILL), client.register_script(REMOVE)

    def create(self, id: str, now: int, name: str, queue: str, user: str, resource: str, provider: str, client: Any = None) -> None:
        """A queued job."""
        self._create(args=[id, now, name, queue, user, resource, provider], client=client)

    def move(self, id: str, now: int, target: str, worker: str = "", client: Any = None) -> None:
        """Enter a state."""
        self._move(args=[id, now, target, worker], client=client)

    def fill(self, jobs: int, began: int, step: int = 1000) -> None:
        """So many finished jobs, a microsecond apart, as the scripts would have left them; by `step` jobs a command where that goes."""
        for first in range(0, jobs, step):
            pipe, sets, resources = self._client.pipeline(transaction=False), {}, {}
            for n in range(first, min(first + step, jobs)):
                id, now, provider = f"{n:036x}", began + n, f"{n:036d}"
                name, queue, user, resource, worker = f"n{n % 50}", f"q{n % 5}", f"u{n % 20}", f"Book:{n % 999}", f"w{n % 8}"
                pipe.hset(f"job:{id}", mapping={
                    "id": id, "state": "succeeded", "job_name": name, "queue": queue, "user": user, "job_args": resource,
                    "provider_job_id": provider, "engine": "celery", "recorded_at": now, "queued_at": now, "started_at": now + 3,
                    "worker": worker, "wait_time": 3, "succeeded_at": now + 8, "progress": "1.0", "run_time": 5,
                })  # fmt: skip
                pipe.set(f"provider:{provider}", id)
                resources.setdefault(f"resource:{resource}", []).append(id)
                scores = {
                    "all": now, f"name:{name}": now, f"queue:{queue}": now, f"user:{user}": now, "engine:celery": now, "queued_at": now,
                    "started_at": now + 3, f"worker:{worker}": now + 3, "wait_time": 3, "state:succeeded": now + 8, "succeeded_at": now + 8,
                    "run_time": 5,
                }  # fmt: skip
                for key, score in scores.items():
                    sets.setdefault(key, {})[id] = score
            for key, members in sets.items():
                pipe.zadd(key, members)
            for key, ids in resources.items():
                pipe.sadd(key, *ids)
            pipe.execute()

    def kill(self, id: str, now: int, client: Any = None) -> None:
        """Ask it to die."""
        self._kill(args=[id, now], client=client)

    def remove(self, id: str, client: Any = None) -> None:
        """Take it away."""
        self._remove(args=[id], client=client)
