"""What can be asked of Dramatiq: send a call again, and how many wait."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from dramatiq.message import Message, generate_unique_id

import statuses
from statuses import EngineCannot, State, Status

from ... import pauses, presence
from ...ends import grace
from .. import attempts, awaited, submitting
from ..answering import Asker
from ..base import Outcome, Queue, Worker
from ..reporting import Ordered, all_heard, may_live, queue_of, worker_of
from ..tracker import Tracker
from . import kept, outcomes
from .messages import USER, write
from .middleware import told_already

#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})


class Dramatiq(Ordered):
    """One tracked broker."""

    can_kill = False
    can_kill_queued = True
    can_retry = True
    can_submit = True
    renews_id = True
    has_workers = True
    has_queues = True
    can_stop_worker = True
    can_restart_pool = True
    restarts_anew = True
    can_pause_queue = True
    asks_elsewhere = frozenset({"queues"})
    acts_on_siblings = True
    reasons: ClassVar = {"tell_outcome": "its broker has no Results middleware"}

    def __init__(self, broker: Any, tracker: Tracker) -> None:
        self.broker = broker
        self.tracker = tracker
        self.name = tracker.name
        self._asker = Asker()
        self._depths, self._send = _depths_of(broker), _sending_to(broker)

    @property
    def can_tell_outcome(self) -> bool:  # ty: ignore[incompatible-property-override]
        """Where its broker has the Results middleware."""
        return outcomes.results_of(self.broker) is not None

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the call again as a new message, with its options and the rest of its pipeline, as the next attempt.
        Raises: EngineCannot when the call was not kept whole, or the broker is away (the new attempt then failed)."""
        message = self._message(status)
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED, anew=True)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        status.set_provider_job_id(message.message_id)
        attempt = status.attempt
        if status.state is State.started:  # the broker handed the old message out in that very moment
            raise self._cannot(status, "retry", "its broker did in the same moment")
        write(message, status.id, attempt)
        try:
            with told_already():
                self._send(message)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"sending it failed: {error}") from error
        return status

    def _message(self, status: Status) -> Message[Any]:
        call = self._kept_call(status, "actor")
        args, kwargs, options = json.loads(json.dumps([call["args"], call["kwargs"], call["options"]]))
        if status.user:
            options[USER] = status.user
        return Message(
            queue_name=options.pop("queue", None) or status.queue or "default",
            actor_name=options.pop("actor"),
            args=tuple(args),
            kwargs=kwargs,
            options=options,
            message_id=generate_unique_id(),
        )

    def knows(self, job_name: str) -> bool:
        return job_name in self.broker.get_declared_actors()

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, self.broker.get_declared_actors(), "the broker has no actor of this name")

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """`send` of the actor. A queue that no actor here declares is refused: nobody would take from it."""
        if not self.knows(job_name):
            raise submitting.not_registered(self, job_name)
        actor = self.broker.get_actor(job_name)
        submitting.check_arguments(actor.fn, args, kwargs or {})
        if queue and queue not in self.broker.get_declared_queues():
            raise EngineCannot(job_name, self.name, submitting.ACTION, f"no actor of this process declares the queue {queue}")
        message = actor.message_with_options(args=tuple(args), kwargs=dict(kwargs or {}))
        message = message.copy(queue_name=queue) if queue else message
        return submitting.send(self, job_name, lambda: self._send(message), user)

    def workers(self) -> list[Worker]:
        """Its processes, as they reported themselves, at most 10 s ago; the lost ones of the last day too.  One round trip."""
        return [_worker(report) for report in presence.reports(self.name)]

    def queues(self) -> list[Queue]:
        """The queues this process declares and those that workers take from. Two round trips, and one to a broker that
        is a Redis, one a queue to a RabbitMQ."""
        reported = {name for worker in self.workers() for name in worker.queues}
        names = sorted({*self.broker.get_declared_queues(), *reported})
        paused = pauses.paused(self.name)
        ask = self._depths
        found = self.tracker.guard.run("asking for the depth of queues", lambda: ask(names)) if ask is not None else None
        return [queue_of(self.name, name, (found or {}).get(name), paused) for name in names]

    @property
    def can_tell_forgotten(self) -> bool:  # ty: ignore[incompatible-property-override]
        """Where its broker is a Redis. RabbitMQ does not say which messages it has, nor which of them workers hold."""
        return kept.can_be_read(self.broker)

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Those whose message its broker no longer has, not even for a worker that has taken it, and that no worker has in its memory: what
        a broker lost that was emptied its workers run all the same. They say in their reports what they have; where none that does takes
        from the queue, or one of them has not been heard lately, or has more than it tells of, nobody can tell; nor while the broker still
        hears one that the store does not. The callback of a group is among them once all members are over, and one of them was lost or none
        has failed: a retry of one that failed lets it go.  Three round trips to the store, two for each such callback; to the broker one,
        and two for each queue, in which it reads ten thousand messages at most."""
        by_queue: dict[str, list[Status]] = {}
        for status in filter(self._may_be_lost, waiting):
            by_queue.setdefault(status.queue or "", []).append(status)
        told = presence.reports(self.name)
        alive = self._alive(told) if by_queue else []
        return [status for queue, jobs in by_queue.items() for status in self._gone(queue, jobs, told, alive)]

    def _may_be_lost(self, status: Status) -> bool:
        if not (status.queue and status.provider_job_id):
            return False
        return not awaited.is_planned(status) or self._never_comes(status)

    def _never_comes(self, callback: Status) -> bool:
        """Whether nothing lets the callback of a group go any more, where it is nowhere: Dramatiq counts the members that succeed, each in
        the moment of its end, and a lost one never."""
        members = statuses.where(provider_job_id=sorted({*callback.depends_on}), engine=self.name)
        if not awaited.all_over(callback, members):
            return False
        counts = members.counts()
        return bool(counts[State.unknown]) or not counts[State.failed] + counts[State.killed]

    def _alive(self, told: list[presence.Report]) -> list[presence.Report]:
        """Those that may live: also one that fell silent for the store alone."""
        lately = {report.worker for report in may_live(self.name)}
        ids = {report.worker: str(report.facts.get("broker") or "") for report in told if report.worker not in lately}
        speak = self._asker.ask(lambda: kept.still_speak(self.broker, [*filter(None, ids.values())]))
        return [report for report in told if report.worker in lately or ids.get(report.worker) in speak]

    def _gone(self, queue: str, jobs: list[Status], told: list[presence.Report], alive: list[presence.Report]) -> list[Status]:
        known, alive = ([one for one in some if queue in one.facts.get("queues", ())] for some in (told, alive))
        if not known or not all_heard(alive):
            return []
        jobs = [status for status in jobs if not any(_has_more(report, status) for report in alive)]
        there = self._asker.ask(lambda: kept.message_ids(self.broker, queue)) if jobs else None
        if there is None:
            return []
        held = {id for report in alive for id in report.facts.get("taken", ())}
        return [status for status in jobs if status.provider_job_id not in there | held]

    def held(self, lost: Sequence[Status]) -> set[str]:
        """Of started ones those whose message a worker has taken from a broker that is a Redis, and not acknowledged, which that broker has
        heard within the grace, and as lately as it hears a living one (`heartbeat_timeout`): it may be cut off from the store alone. Of
        those that wait `forgotten` has asked as much.  A few round trips (`kept.taken`) of five seconds at most."""
        started = [status for status in lost if status.state is State.started and status.queue and status.provider_job_id]
        if not started or not kept.can_be_read(self.broker):
            return set()
        queues, wanted = {status.queue or "" for status in started}, {status.provider_job_id or "" for status in started}
        within_ms = min(self.broker.heartbeat_timeout, round(grace(None).total_seconds() * 1000))
        there = self._asker.ask(lambda: kept.taken(self.broker, sorted(queues), wanted, within_ms))
        return {status.id for status in started if status.provider_job_id in there}

    def outcome(self, status: Status) -> Outcome | None:
        """What the Results middleware keeps of its message, of actors with `store_results`, until that expires (`result_ttl`). It says no
        moment: where the message was handed out more than once nobody knows of which time it is; nor where it was taken back from among
        the dead letters."""
        backend = outcomes.results_of(self.broker)
        if backend is None:
            raise self._cannot(status, "tell the end of", self.why_not("tell_outcome"))
        if not status.provider_job_id or outcomes.may_be_earlier(status):
            return None
        message = outcomes.message_of(status)
        return self._asker.ask(lambda: outcomes.outcome(backend, message, self.tracker))

    def _who_hears(self, worker: Worker) -> str | None:
        # The whole command ends or is renewed. Of its processes one hears it, always the same: two signals would end the jobs.
        command = (worker.host, worker.details.get("command"))
        return min(
            (each.name for each in self.workers() if each.is_alive and (each.host, each.details.get("command")) == command), default=None
        )


def _has_more(report: presence.Report, status: Status) -> bool:
    """Whether it may have the job without saying so; one of an older version does not say."""
    return report.facts.get("more") != 0 or (status.state is State.unqueued and report.facts.get("more_later") != 0)


def _depths_of(broker: Any) -> Callable[[Sequence[str]], dict[str, int]] | None:
    """What tells how many messages wait in each queue; None of a broker that keeps them elsewhere."""
    if hasattr(broker, "client") and hasattr(broker, "namespace"):
        return lambda queues: _in_redis(broker, queues)
    if is_rabbitmq(broker):
        from .rabbitmq import Depths

        return Depths(broker).of
    return None


def _sending_to(broker: Any) -> Callable[[Message[Any]], object]:
    """What sends a message while somebody waits."""
    if is_rabbitmq(broker):
        from .rabbitmq import Sender

        return Sender(broker).send
    return lambda message: broker.enqueue(message)  # as it is by then


def _in_redis(broker: Any, queues: Sequence[str]) -> dict[str, int]:
    with broker.client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.llen(f"{broker.namespace}:{queue}")
        return dict(zip(queues, pipeline.execute(), strict=True))


def is_rabbitmq(broker: Any) -> bool:
    """Whether it is Dramatiq's own kind; who has none need not have what that imports."""
    module = sys.modules.get("dramatiq.brokers.rabbitmq")
    return module is not None and isinstance(broker, module.RabbitmqBroker)


def _worker(report: presence.Report) -> Worker:
    return worker_of(report, _refuses(report.facts), ("command", "software"))


def _refuses(facts: Mapping[str, Any]) -> dict[str, str]:
    """What a worker cannot, as it said itself."""
    if not facts.get("command"):
        return dict.fromkeys(("stop_worker", "restart_pool"), "the dramatiq command, which would hear of it, did not start this process")
    if not facts.get("can_restart"):
        return {"restart_pool": "its command cannot run itself again: start it as dramatiq, not as python -m dramatiq"}
    return {}
