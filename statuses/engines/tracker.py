"""What every adapter does with the jobs of its engine: which of them, whose, on what, and how they ended."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import statuses
from statuses import ConfigurationError, State, Status, StatusNotFound

from .. import encoding, failure
from ..errors import interrupts
from . import attempts, calls, resources
from .guard import Guard
from .heartbeats import EVERY_SECONDS, Heartbeats
from .who import current_user, kept_name

if TYPE_CHECKING:
    from .runs import Run

#: Characters kept of a job's name.
NAME_LENGTH = 200

Resources = Mapping[str, str] | Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Tracker:
    """The options of one adapter, and the writes about its jobs that do not depend on the engine.

    `name`: what `Status.engine` says. `user`: asked for who starts a job where nothing else tells. `resources`: what
    the names of plain arguments mean, `{"book_id": "Book"}`, or a function of job name and named arguments that
    gives `job_args`. `ignore`: job names that are not tracked. `keep_results`: whether a result becomes the job's
    `data` (`{"result": ...}`) where the job saved none. `encode`: the engine's own JSON, for results. `folders`: where
    the engine's own code lies, left out at the top of tracebacks."""

    def __init__(
        self,
        name: str,
        *,
        user: Callable[[], str | None] | None = None,
        resources: Resources | None = None,
        ignore: Collection[str] = (),
        keep_results: bool = True,
        heartbeat_seconds: float = EVERY_SECONDS,
        encode: calls.Encode = json.dumps,
        folders: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.user = user
        self.resource_types = resources
        self.ignore = frozenset(ignore)
        self.keep_results = keep_results
        self.encode = encode
        self.folders = folders
        self.guard = Guard()
        self.heartbeats = Heartbeats(heartbeat_seconds)

    def tracks(self, job_name: str, provider_job_id: str) -> bool | None:
        """Whether this job is tracked at all; None: this process was never told where the statuses are, so it decides
        nothing for those who know. Never raises."""
        if job_name in self.ignore:
            return False
        try:
            return attempts.is_tracked(job_name, provider_job_id)
        except ConfigurationError as error:
            self.guard.say("configuration", f"jobs are not tracked here: {error}")
            return None

    def create(
        self,
        *,
        job_name: str,
        provider_job_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        call: Mapping[str, Any],
        function: Callable[..., Any] | None = None,
        queue: str | None = None,
        state: State = State.queued,
        user: object = None,
        parent: str | None = None,
        depends_on: Sequence[str] | None = None,
        root: str | None = None,
        id: str | None = None,
        after: "Run | None" = None,
    ) -> Status:
        """A new status. `args` and `kwargs` are looked at for resources, `call` is what is kept of them. `after`: what has just ended
        here, with whose end its engine sends this.
        One round trip, one more where a job sends it: its user and its root are that one's, unless the engine says otherwise."""
        above = statuses.current()
        return attempts.create(
            self.guard,
            id=id,
            job_name=job_name[:NAME_LENGTH],
            job_args=self.job_args(job_name, function, args, kwargs),
            queue=queue,
            engine=self.name,
            provider_job_id=provider_job_id,
            call=call,
            state=state,
            user=self.user_of(user, above, after),
            parent=(above.id or None) if above is not None else parent,
            depends_on=depends_on,
            root=root or self.root_here(),
        )

    def root_here(self) -> str | None:
        """What the workflow of a job began with that is sent here: the root of the job that sends it, or that job; None
        outside of any.  One round trip."""
        above = statuses.current()
        if above is None or not above.id:
            return None
        try:
            return above.root or above.id
        except StatusNotFound:
            return None

    def user_of(self, said: object, above: Status | None, after: "Run | None" = None) -> str | None:
        """What the call says, else `as_user`'s, else the project's say, else that of the job that sends, or whose end sends."""
        user = said or current_user()
        if not user and self.user is not None:
            user = self.user()
        if not user:
            try:
                user = above.user if above is not None and above.id else after.user if after is not None else None
            except StatusNotFound:
                return None
        return kept_name(user)

    def sender(self, said: object) -> str | None:
        """Who sends a job here that gets no status, for the store is away: what its message may say of him. Raises what interrupts it, and
        nothing else."""
        return self.guard.who(lambda: self.user_of(said, None))

    def job_args(
        self, job_name: str, function: Callable[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The resources among the arguments; none when looking for them fails."""
        try:
            arguments = resources.named(function, args, kwargs)
            types = self.resource_types
            if types is None or isinstance(types, Mapping):
                return resources.find(arguments, types)
            return {**resources.find(arguments), **types(job_name, arguments)}
        except Exception as error:
            if interrupts(error):
                raise
            self.guard.say("resources", f"looking for resources in the arguments of {job_name} failed", trace=True)
            return {}

    def data_of(self, result: Any) -> dict[str, Any] | None:
        """What is kept of a result."""
        return attempts.result_data(result, self.encode) if self.keep_results else None

    def end(
        self,
        handle: Callable[[], Status],
        job_name: str,
        state: State,
        attempt: int | None,
        error: object = None,
        result: object = None,
    ) -> None:
        """The attempt is over: told now, or once the store is back, as of now. Never raises."""
        data = self.data_of(result)
        if isinstance(error, BaseException):
            # Now: told late it would keep every frame of the job alive, and its traceback would have changed.
            error = encoding.loads(failure.describe(error).text)
        self.guard.run(
            f"telling that {job_name} is {state}",
            lambda ago=None: attempts.end(handle(), state, attempt, error, data, ago),
            ends=True,
        )


def gives_back(call: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a kept call holds these arguments as they were: JSON turns a tuple into a list, keys into texts."""
    return call["args"] == list(args) and call["kwargs"] == kwargs


def own_id(engine: str, provider_job_id: str) -> str:
    """The id of a status whose engine carries none of ours: the engine's, unless it is one that ids cannot be."""
    if 1 <= len(provider_job_id) <= NAME_LENGTH and not re.search(r":\d+$", provider_job_id):
        return provider_job_id
    return f"{engine}-" + hashlib.sha1(provider_job_id.encode(), usedforsecurity=False).hexdigest()
