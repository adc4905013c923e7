"""What jobs do, counted for OpenTelemetry and Prometheus: starts, ends and retries, and how long each took.

Off unless `configure(metrics=True)`. Each start, end and retry that changed something is then counted in one round trip more, by a script
that reads the job's own record: every engine and `track()` give the same figures. The sums lie in Redis, so they hold for all processes
together and outlive each of them; where the OpenTelemetry API is installed the process that told of the event records it there too.
"""

import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from . import collection, keys, scripts
from .engines.guard import Guard
from .errors import interrupts
from .states import ENDED, State
from .store import Store, current

if TYPE_CHECKING:
    from .transitions import Transitions

#: Upper bounds of the buckets, seconds: from jobs of milliseconds to those that run for days.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21_600.0, 86_400.0)
#: Series kept in a family; jobs whose task and queue have none then count as `(other)`.
MOST = 5_000
STARTED, FINISHED, RETRIED = "S", "E", "R"
#: Kind of event -> its counter with what it counts, its third attribute, its histograms with what they measure.
INSTRUMENTS: Mapping[str, tuple[tuple[str, str], str, tuple[tuple[str, str], ...]]] = {
    STARTED: (("tasks_selected", "Attempts that a worker began to run."), "role", (("time_in_queue", "From queued to started."),)),
    FINISHED: (
        ("tasks_processed", "Jobs that ended."),
        "status",
        (("execution_time", "From started to the end."), ("end_to_end_latency", "From recorded to the end, all attempts together.")),
    ),
    RETRIED: (("tasks_retried", "Attempts after which the job was queued again."), "", ()),
}
#: Series of a hash that one command reads.
STEP = 500
_BOUNDS = struct.pack(f"<{len(BOUNDS)}Q", *(round(bound * 1_000_000) for bound in BOUNDS))

#: Task, queue and the third attribute; "" where there is none.
Labels = tuple[str, str, str]


class Recorder:
    """Counts what one process tells one store. What cannot be counted is not, and is said once a minute: nothing is raised but what
    interrupts a process or its job, limits of time among it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._roles = store.config.metrics_roles
        self._guard = Guard()
        self._instruments = _instruments()
        self._noted: deque[tuple[Transitions, State]] = deque()

    def told(self, status: "Transitions", action: Callable[..., Any], arguments: tuple[Any, ...], result: Any) -> None:
        """Something was said of a job, and this came of it. One round trip where that counts, and one for each end noted before."""
        self.count_noted()
        changed = result[0] if isinstance(result, tuple) else result
        if not changed:
            return
        if action is scripts.start:
            self.started(status, arguments[0])
        elif action is scripts.requeue:
            # One that had neither started nor ended only waits in another state from now on.
            spoken_of = arguments[0][0]
            if result[1] > (spoken_of or 0):
                self._count(status, RETRIED)
        elif action in (scripts.move, scripts.finish) and arguments[0] in ENDED:
            self._ended(status, arguments[0])

    def started(self, status: "Transitions", worker: str | None = None) -> None:
        """A job began to run. One round trip."""
        self._count(status, STARTED, role=self._role(worker))

    def loaded(self, status: "Transitions", began: State, now: State) -> None:
        """A job is there that could not be told of when it began. One round trip for each thing it did."""
        if began is State.started:
            self.started(status)
        if now in ENDED:
            self._ended(status, now)

    def note(self, status: "Transitions", state: State) -> None:
        """A job ended, heard of by whoever has a reply in his hand that is for another: he waits for nothing. It is counted with what is
        told next, or by `count_noted`. No round trip."""
        self._noted.append((status, state))

    def count_noted(self) -> None:
        """Count the ends that were only noted. One round trip each."""
        while self._noted:
            try:
                status, state = self._noted.popleft()
            except IndexError:  # another thread counts it
                return
            self._ended(status, state)

    def leave(self) -> None:
        """In a forked child: its parent counts what it has noted."""
        self._noted.clear()

    def _ended(self, status: "Transitions", state: State) -> None:
        self._count(status, FINISHED, state)

    def _role(self, worker: str | None) -> str:
        """What the project calls it, else the part of its name before "@"; '': its engine's name."""
        if not worker:
            return ""
        kind = worker.partition("@")[0] if "@" in worker else ""
        try:
            roles = self._roles
            said = roles(worker) if callable(roles) else roles.get(worker, roles.get(kind))
            return str(said)[:200] if said else kind
        except Exception as error:
            if interrupts(error):
                raise
            self._guard.say("roles", f"metrics_roles did not say what worker {worker} is: {type(error).__name__}: {error}")
            return kind

    def _count(self, status: "Transitions", kind: str, state: State | None = None, role: str = "") -> None:
        try:
            counted = scripts.meter(self._store, status._place(), kind, state, role, _BOUNDS, MOST)
            if counted is not None and self._instruments:
                self._record(kind, counted[0], counted[1])
        except Exception as error:
            if interrupts(error):
                raise
            self._guard.say("metrics", f"what a job did is missing in the metrics: {type(error).__name__}: {error}")

    def _record(self, kind: str, labels: Labels, spans: Iterable[int | None]) -> None:
        (counter, _), third, histograms = INSTRUMENTS[kind]
        attributes = {"task": labels[0], "queue": labels[1], **({third: _said(kind, labels[2])} if third else {})}
        self._instruments[counter].add(1, attributes)
        for (name, _), span_us in zip(histograms, spans, strict=False):
            if span_us is not None:
                self._instruments[name].record(span_us / 1_000_000, attributes)


def _said(kind: str, label: str) -> str:
    return State.of_code(int(label)).value if kind == FINISHED else label


def _instruments() -> dict[str, Any]:
    """Name -> instrument of OpenTelemetry; none where its API is not installed."""
    try:
        from opentelemetry import metrics
    except ImportError:
        return {}
    meter, made = metrics.get_meter("statuses"), {}
    for (name, text), _, histograms in INSTRUMENTS.values():
        made[name] = meter.create_counter(name, unit="{job}", description=text)
        for span, about in histograms:
            made[span] = meter.create_histogram(span, unit="s", description=about, explicit_bucket_boundaries_advisory=[*BOUNDS])
    return made


def is_on() -> bool:
    """Whether this process counts, and so should show what all of them counted."""
    return current().config.metrics


def exposition(shown: Callable[[str], str] = str) -> str:
    """All that was counted, by any process, and how many jobs there are now, in Prometheus' text format 0.0.4. shown: what names of
    tasks, queues and roles become on their way out; those that become the same are added up.

    Raises: StoreUnavailable.  Source: per family one hash, 500 series in a round trip; two queries over all jobs."""
    found: dict[str, dict[Labels, list[int]]] = {kind: {} for kind in INSTRUMENTS}
    for family in range(len(current().families)):
        for kind, (task, queue, third), cells in _kept(current(), family):
            labels = shown(task), shown(queue), shown(third) if kind == STARTED else third
            before = found[kind].get(labels)
            found[kind][labels] = cells if before is None else [a + b for a, b in zip(before, cells, strict=True)]
    lines = [line for kind, series in found.items() for line in _lines(kind, series)]
    return "\n".join([*lines, *_gauges(shown)]) + "\n"


def _kept(store: Store, family: int) -> Iterator[tuple[str, Labels, list[int]]]:
    key, cursor = keys.metrics(store.families[family]), 0
    kept: dict[bytes, bytes] = {}
    while True:
        cursor, part = store.read("HSCAN", key, cursor, "COUNT", STEP)
        # A field may come twice; clients of a cluster have made a mapping of it already.
        kept.update(part if isinstance(part, dict) else zip(part[::2], part[1::2], strict=True))
        cursor = int(cursor)
        if not cursor:
            break
    for field, cells in kept.items():
        kind = field[:1].decode()
        if kind in INSTRUMENTS:
            yield kind, _labels(kind, field[1:]), [*struct.unpack(f"<{len(cells) // 8}Q", cells)]


def _labels(kind: str, packed: bytes) -> Labels:
    """What follows the kind in the name of a series: length, colon and text, three times."""
    texts = []
    for _ in range(3):
        length, _, rest = packed.partition(b":")
        texts.append(rest[: int(length)].decode(errors="replace"))
        packed = rest[int(length) :]
    return texts[0], texts[1], _said(kind, texts[2])


def _lines(kind: str, series: Mapping[Labels, list[int]]) -> Iterator[str]:
    (counter, text), third, histograms = INSTRUMENTS[kind]
    yield from _head(f"{counter}_total", text, "counter")
    for labels, cells in sorted(series.items()):
        yield f"{counter}_total{{{_pairs(labels, third)}}} {cells[0]}"
    width = len(BOUNDS) + 2
    for number, (name, about) in enumerate(histograms):
        yield from _head(f"{name}_seconds", about, "histogram")
        for labels, cells in sorted(series.items()):
            first = 1 + number * width
            sum_us, counts = cells[first], [*accumulate(cells[first + 1 : first + width])]
            pairs = _pairs(labels, third)
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                yield f'{name}_seconds_bucket{{{pairs},le="{bound}"}} {count}'
            yield f"{name}_seconds_sum{{{pairs}}} {sum_us // 1_000_000}.{sum_us % 1_000_000:06d}"
            yield f"{name}_seconds_count{{{pairs}}} {counts[-1]}"


def _gauges(shown: Callable[[str], str]) -> Iterator[str]:
    yield from _head("jobs", "Jobs that are kept, by the state they are in.", "gauge")
    for state, count in collection.all().counts().items():
        yield f'jobs{{state="{state}"}} {count}'
    yield from _head("jobs_waiting", "Queued jobs of the thousand fullest queues.", "gauge")
    waiting: Counter[str] = Counter()
    for found in collection.where(state=State.queued).counts_by("queue", limit=1000):
        waiting[shown(found.value)] += found.total
    for queue, count in waiting.items():
        yield f'jobs_waiting{{queue="{_escaped(queue)}"}} {count}'


def _head(name: str, text: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _pairs(labels: Labels, third: str) -> str:
    named = zip(("task", "queue", third), labels, strict=True)
    return ",".join(f'{name}="{_escaped(text)}"' for name, text in named if name)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
