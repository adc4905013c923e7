"""What can be done to a worker or a queue: whether it is possible, why not, and what came of it in words.

Nothing here trusts the page one came from: the worker or queue is looked up at its engine when the order comes. What was
only sent is said to be sent; the pages show what the engine tells of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import answers, verbs
from statuses import EngineCannot
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Worker

#: The right that all of them take.
RIGHT = "control_workers"

Target = Worker | Queue


@dataclass(frozen=True, kw_only=True)
class Control:
    """One button of the pages of workers and queues."""

    verb: verbs.Verb
    kind: str
    """`worker` or `queue`."""
    capability: str
    """The engine's flag behind it, without its `can_`."""
    title: Promise
    """What it does, for the tooltip."""
    order: Callable[[Engine, str, Any, str], bool] = field(repr=False)
    """Gives the order: engine, name, what the engine told of it, user name; whether anything changed."""
    said: Callable[[Engine, str], str] = field(repr=False)
    """What has happened, in a sentence or two, and what has not."""
    nothing: Promise | str = ""
    """What is said when nothing changed."""
    confirms: bool = False
    """Whether a page asks before."""
    danger: bool = False

    @property
    def slug(self) -> str:
        return self.verb.slug

    def why_not(self, engine: Engine, target: Target | None) -> str:
        """Why it is not possible now; empty when it is. Asks nobody."""
        worker = target if isinstance(target, Worker) else None
        if worker is not None and not worker.is_alive:
            return _("It is lost: there is nobody to hear it.")
        if worker is not None and worker.is_stopping:
            return _("It is stopping already.")
        why = engine.why_not(self.capability, worker)
        return _("%(engine)s cannot: %(why)s.") % {"engine": engine.name, "why": why} if why else ""


@dataclass(frozen=True, kw_only=True)
class Button:
    """A control as it stands in one row."""

    control: Control
    engine: str
    name: str
    is_told: bool
    """Whether the engine stands on it: where several have something of this name."""
    title: Promise
    """What it does here, for the tooltip."""
    why_not: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one order came to."""

    message: str
    is_done: bool
    """Whether anything changed."""
    error: str = ""
    """Why the engine could not, if that was it."""


def buttons(target: Target, *, is_told: bool = False) -> list[Button]:
    """What can be done to this worker or queue, possible or not; `is_told`: the engine stands on the buttons."""
    engine = registry.get(target.engine)
    if engine is None:
        return []
    chosen = _OF_WORKERS if isinstance(target, Worker) else _RESUME if target.is_paused else _PAUSE
    return [
        Button(
            control=one,
            engine=engine.name,
            name=target.name,
            is_told=is_told,
            title=explained(one, engine, one.title),
            why_not=one.why_not(engine, target),
        )
        for one in chosen
    ]


def explained(control: Control, engine: Engine | None, words: Promise) -> Promise:
    """What the order does: these words, unless it has a worker end all of its jobs, and take none meanwhile, before it is there again."""
    return _ANEW if control is RESTART and engine is not None and engine.restarts_anew else words


def find(control: Control, engine_name: str, name: str) -> tuple[Engine, Target] | None:
    """The engine and what it tells of its worker or queue of this name; None where there is none.
    Raises: NoAnswer; StoreUnavailable; what the engine raises."""
    engine = registry.get(engine_name)
    if engine is None or not (engine.has_workers if control.kind == "worker" else engine.has_queues):
        return None
    told = answers.of(engine, f"{control.kind}s")
    found = next((one for one in told if one.name == name), None)
    return (engine, replace(found, engine=engine.name)) if found is not None else None


def give(control: Control, engine: Engine, target: Target, by: str) -> Outcome:
    """Give the order, and say what came of it.  Raises: StoreUnavailable."""
    why = control.why_not(engine, target)
    if why:
        return Outcome(message=_("Nothing was changed. %(why)s") % {"why": why}, is_done=False, error=why)
    try:
        changed = control.order(engine, target.name, target, by)
        answers.forget(engine)
    except EngineCannot as error:
        return Outcome(message=_("Nothing was changed: %(why)s.") % {"why": error.why}, is_done=False, error=str(error))
    except statuses.StoreUnavailable:
        raise
    except statuses.StatusesError as error:
        return Outcome(message=_("Nothing was changed: %(why)s.") % {"why": error}, is_done=False, error=str(error))
    return Outcome(message=control.said(engine, target.name) if changed else str(control.nothing), is_done=changed)


def _stop(engine: Engine, name: str, worker: Any, by: str) -> bool:
    engine.stop_worker(worker)
    return True


def _restart(engine: Engine, name: str, worker: Any, by: str) -> bool:
    engine.restart_pool(worker)
    return True


def _stopping(engine: Engine, name: str) -> str:
    if engine.acts_on_siblings:
        words = _(
            "Asked to stop: %(worker)s, and with it every process that its command has started. They are shown as stopping once they "
            "say so, and are gone when their jobs have ended."
        )
    else:
        words = _("Asked to stop: %(worker)s. It is shown as stopping once it says so, and is gone when its jobs have ended.")
    return words % {"worker": name}


def _renewing(engine: Engine, name: str) -> str:
    if engine.acts_on_siblings:
        words = _(
            "Asked to make place for a new process: %(worker)s, and with it every process that its command has started, "
            "once their jobs have ended."
        )
    elif engine.restarts_anew:
        words = _("Asked to begin anew: %(worker)s. It takes no more jobs, and is back when those it runs have ended.")
    else:
        words = _("Told to renew its pool: %(worker)s. A process that runs a job is replaced when that has ended.")
    return words % {"worker": name}


def _paused(engine: Engine, name: str) -> str:
    if engine.pauses_all_queues:
        words = _(
            "Told to hold back all of its queues: %(engine)s, which knows no pause of one. What runs goes on, and a worker that "
            "waits for a job at this moment may still take one."
        )
    else:
        words = _(
            "Paused: %(queue)s, also for workers that start later. What workers have taken ahead still runs; the page says "
            "so while one of them still takes from it."
        )
    return words % {"engine": engine.name, "queue": name}


def _resumed(engine: Engine, name: str) -> str:
    if engine.pauses_all_queues:
        return _("All queues go on: %(engine)s. Its workers notice within a minute.") % {"engine": engine.name}
    return _("Resumed: %(queue)s. Its workers were told to take from it again.") % {"queue": name}


#: What a worker does whose processes are not replaced one by one.
_ANEW = gettext_lazy("It takes no more jobs, ends those it runs, and then begins anew.")
STOP = Control(
    verb=verbs.STOP_WORKER,
    kind="worker",
    capability="stop_worker",
    title=gettext_lazy("Takes no more jobs, ends with those it runs, and is gone."),
    order=_stop,
    said=_stopping,
    confirms=True,
    danger=True,
)
RESTART = Control(
    verb=verbs.RESTART_POOL,
    kind="worker",
    capability="restart_pool",
    title=gettext_lazy("Replaces its processes by new ones, each when the job it runs has ended."),
    order=_restart,
    said=_renewing,
    confirms=True,
)
PAUSE = Control(
    verb=verbs.PAUSE_QUEUE,
    kind="queue",
    capability="pause_queue",
    title=gettext_lazy("Holds its jobs back until it is resumed; those that run go on."),
    order=lambda engine, name, queue, by: engine.pause_queue(name, by),
    said=_paused,
    nothing=gettext_lazy("It was paused already. Nothing was changed."),
    confirms=True,
)
RESUME = Control(
    verb=verbs.RESUME_QUEUE,
    kind="queue",
    capability="pause_queue",
    title=gettext_lazy("Lets its jobs go again."),
    order=lambda engine, name, queue, by: engine.resume_queue(name, by),
    said=_resumed,
    nothing=gettext_lazy("It was not paused. Nothing was changed."),
)
_OF_WORKERS, _PAUSE, _RESUME = (STOP, RESTART), (PAUSE,), (RESUME,)
#: By the name in the address.
CONTROLS: dict[str, Control] = {control.slug: control for control in (STOP, RESTART, PAUSE, RESUME)}
