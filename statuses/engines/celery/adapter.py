"""Connects one Celery app: what is published, traced and told by its workers becomes status writes."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kombu.utils.json import JSONEncoder
from kombu.utils.json import loads as kombu_loads

import statuses
from statuses import ConfigurationError, State, Status, StatusExists, StatusNotFound

from ... import encoding, failure
from ...errors import interrupts
from .. import attempts, calls, registry, resources, versions
from ..guard import Guard
from ..heartbeats import EVERY_SECONDS, Heartbeats
from . import planned, routing
from .messages import Message, header, user_of
from .options import options

if TYPE_CHECKING:
    import celery

    from .engine import Celery

#: Celery's own housekeeping: nobody started it, and `chord_unlock` retries once a second.
INTERNAL = frozenset({"celery.chord_unlock", "celery.backend_cleanup"})

#: The serializer that carries what we can keep.
JSON = "json"
#: Kombu's own JSON, by encoders that are made once; the second takes no NaN, which is no JSON.
encode = JSONEncoder(separators=(",", ":")).encode
encode_strictly = calls.encoder(JSONEncoder(separators=(",", ":"), allow_nan=False))

Resources = Mapping[str, str] | Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Adapter:
    """Everything that tracks one app. Made by `install`."""

    engine: Celery
    """What can be asked of it."""

    def __init__(
        self,
        app: celery.Celery,
        engine_name: str,
        user: Callable[[], str | None] | None,
        resource_types: Resources | None,
        ignore: Collection[str],
        keep_results: bool,
        heartbeat_seconds: float,
    ) -> None:
        self.app = app
        self.is_installed = True
        self.engine_name = engine_name
        self.user = user
        self.resource_types = resource_types
        self.ignore = INTERNAL | frozenset(ignore)
        self.keep_results = keep_results
        self.guard = Guard()
        self.heartbeats = Heartbeats(heartbeat_seconds)

    @cached_property
    def serializer(self) -> str:
        """That of the app's messages, as Celery takes it: once, with the first one. To look a setting up costs a sixth of tracking."""
        return self.app.conf.task_serializer

    def handle(self, message: Message) -> Status:
        """The status a message is about, made here when no tracked publisher sent it.
        No round trip with our header; one to four without."""
        if message.known:
            return statuses.at(message.status_id)
        try:
            return statuses.at(message.status_id)
        except StatusNotFound:
            pass
        try:
            routing.name(self.app, message)
            return self.create(message, id=message.status_id)
        except StatusExists:
            return statuses.at(message.status_id)

    def create(
        self,
        message: Message,
        *,
        id: str | None = None,
        user: str | None = None,
        parent: str | None = None,
        depends_on: Sequence[str] | None = None,
        root: str | None = None,
        serializer: str = JSON,
    ) -> Status:
        """A new status for a message whose request holds args and kwargs. One round trip."""
        request = message.request
        args, kwargs = request.get("args") or (), request.get("kwargs") or {}
        return attempts.create(
            self.guard,
            id=id,
            job_name=message.name,
            job_args=self.job_args(message, args, kwargs) or None,
            queue=message.queue,
            engine=self.engine_name,
            provider_job_id=message.task_id,
            call=kept_text(message, args, kwargs, serializer),
            state=State.unqueued if request.get("eta") else State.queued,
            user=user or user_of(request),
            parent=parent,
            depends_on=depends_on,
            root=root,
        )

    def plan(self, message: Message, *, parent: str | None, depends_on: Sequence[str], root: str | None, user: str | None) -> Status:
        """A new status for a job that is sent once others have succeeded; its arguments are not whole yet. One round trip."""
        return attempts.create(
            self.guard,
            job_name=message.name,
            engine=self.engine_name,
            provider_job_id=message.task_id,
            state=State.unqueued,
            user=user,
            parent=parent,
            depends_on=depends_on,
            root=root,
        )

    def job_args(self, message: Message, args: Any, kwargs: Any) -> dict[str, Any]:
        """The resources among the arguments; none when looking for them fails."""
        types = self.resource_types
        try:
            if not args and not kwargs and not callable(types):
                return {}
            # Not `app.tasks`: looking at it would finalize an app that only sends by name.
            task = getattr(self.app, "_tasks", {}).get(message.request.get("task"))
            arguments = resources.named(getattr(task, "run", None), args, kwargs)
            if types is None or isinstance(types, Mapping):
                return resources.find(arguments, types)
            return {**resources.find(arguments), **types(message.name, arguments)}
        except Exception as error:
            if interrupts(error):
                raise
            self.guard.say("resources", f"looking for resources in the arguments of {message.name} failed", trace=True)
            return {}

    def tracks(self, message: Message) -> bool | None:
        """Whether this message's job is tracked at all; a header says what its publisher decided. None: this process was
        never told where the statuses are, so it decides nothing for those who know."""
        if message.untracked or message.name in self.ignore or message.request.get("task") in self.ignore:
            return False
        try:
            return message.known or attempts.is_tracked(message.name, message.task_id)
        except ConfigurationError as error:
            self.guard.say("configuration", f"jobs are not tracked here: {error}")
            return None

    def data_of(self, result: Any) -> dict[str, Any] | None:
        """What is kept of a result."""
        return attempts.result_data(result, encode) if self.keep_results else None

    def end(
        self,
        message: Message,
        state: State,
        attempt: int | None,
        error: object = None,
        result: object = None,
        handle: Callable[[], Status] | None = None,
    ) -> None:
        """The attempt is over: told now, or once the store is back, as of now. `handle` gives its status where that was looked for
        already. Never raises."""
        data = self.data_of(result)
        if isinstance(error, BaseException):
            # Now: told late it would keep every frame of the job alive, and its traceback would have changed.
            error = encoding.loads(failure.describe(error).text)
        self.guard.run(
            f"telling the end of {message.name}",
            lambda ago=None: attempts.end(handle() if handle else self.handle(message), state, attempt, error, data, ago),
            ends=True,
        )
        if state is not State.succeeded:
            planned.give_up(self, message)


def kept_text(message: Message, args: Any, kwargs: Any, serializer: str = JSON) -> Any:
    """What is kept of a call; as text where that is enough."""
    if serializer == JSON:
        return calls.keep_text(args, kwargs, options(message), encode_strictly, encode)
    return kept_call(message, args, kwargs, serializer)


def kept_call(message: Message, args: Any, kwargs: Any, serializer: str = JSON) -> dict[str, Any]:
    """What is kept of a call. Other serializers than JSON carry more: what JSON would change (a tuple, a key that is a number) is
    shown, and not sent again; the rest is sent again by the same one."""
    if serializer == JSON:
        return calls.keep(args, kwargs, options(message), encode)
    call = calls.keep(args, kwargs, {**options(message), "serializer": serializer}, encode)
    if "not_kept" not in call and not _gives_back(call, args, kwargs):
        call["not_kept"] = "they were more than JSON can give back"
    return call


def _gives_back(call: dict[str, Any], args: Any, kwargs: Any) -> bool:
    try:
        return bool(kombu_loads(json.dumps([call["args"], call["kwargs"]])) == [list(args), dict(kwargs)])
    except Exception as error:  # values of the project's own may compare as they like
        if interrupts(error):
            raise
        return False


_adapters: weakref.WeakKeyDictionary[Any, Adapter] = weakref.WeakKeyDictionary()


def of(app: Any) -> Adapter | None:
    """The adapter of an app, None when it is not installed in this process."""
    try:
        return _adapters.get(app._get_current_object() if hasattr(app, "_get_current_object") else app)
    except TypeError:
        return None


def install(
    app: celery.Celery,
    *,
    name: str = "celery",
    user: Callable[[], str | None] | None = None,
    resources: Resources | None = None,
    ignore: Collection[str] = (),
    keep_results: bool = True,
    heartbeat_seconds: float = EVERY_SECONDS,
) -> Celery:
    """Track every job of `app`: call it once beside the app, in publishers and workers alike. Twice changes nothing.

    `name`: what `Status.engine` says; two apps in one process need two. `user`: asked for who starts a job, where
    neither the header `user` nor `as_user` tells. `resources`: what the names of plain arguments mean,
    `{"book_id": "Book"}`, or a function of job name and named arguments that gives `job_args`. `ignore`: task names
    that are not tracked. `keep_results`: whether a result becomes the job's `data` (`{"result": ...}`) where the job
    saved none. No connection is made here."""
    from . import chords, piggyback, presence, publishing, tracing, worker
    from .engine import Celery

    present = of(app)
    if present is not None:
        engine = registry.get(present.engine_name)
        if isinstance(engine, Celery):
            return engine
    adapter = Adapter(app, name, user, resources, ignore, keep_results, heartbeat_seconds)
    _adapters[app] = adapter
    publishing.connect(adapter)
    chords.connect()
    tracing.connect()
    worker.connect()
    piggyback.connect()
    presence.connect()
    app.steps["worker"].add(presence.Stopping)  # ty: ignore[not-subscriptable]
    app.steps["consumer"].add(worker.Unreadable)  # ty: ignore[not-subscriptable]
    engine = adapter.engine = Celery(adapter)
    registry.register(engine)
    versions.say_if_untried("celery")
    return engine


def uninstall(app: celery.Celery) -> None:
    """Stop tracking `app` in this process."""
    from . import presence, publishing, worker

    adapter = _adapters.pop(app, None)
    if adapter is not None:
        adapter.is_installed = False
        app.steps["worker"].discard(presence.Stopping)  # ty: ignore[not-subscriptable]
        app.steps["consumer"].discard(worker.Unreadable)  # ty: ignore[not-subscriptable]
        publishing.disconnect(adapter)
        registry.unregister(adapter.engine_name)


def new_header(status: Status | None, message: Message, attempt: int = 0, root: str | None = None) -> dict[str, Any]:
    """The header for a message of `status`; None says that the job is not tracked, to every worker that meets it."""
    retries = message.request.get("retries") or 0
    return header(status.id if status else None, message.task_id, attempt, retries, root)
