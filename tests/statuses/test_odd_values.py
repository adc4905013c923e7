"""Odd values everywhere: what is taken is named here; all else is a ValueError or TypeError that names the argument, is short, and
comes before anything is written."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

import statuses
from statuses import clauses, keys
from statuses.store import current
from statuses.testing import make_status


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Text(str):
    """A text of a class of its own, as Django's SafeString is."""


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


CYCLE: dict = {}
CYCLE["a"] = CYCLE
ODD = {
    "None": None, "empty": "", "huge": "x" * 3_000_000, "surrogate": "\ud800", "nul": "a\0b", "nan": math.nan, "inf": math.inf,
    "-inf": -math.inf, "True": True, "7": 7, "-1": -1, "bigint": 10**400, "half": 0.5, "bytes": b"x", "list": [1], "texts": ["a\0"],
    "surrogates": ["\udfff"], "nones": [None], "dict": {"a": 1}, "dict of 1": {1: 2}, "set": {1}, "object": object(),
    "deep": nested(100_000), "cycle": CYCLE, "naive": datetime(2026, 1, 1), "min": datetime.min.replace(tzinfo=UTC),
    "max": datetime.max.replace(tzinfo=UTC), "date": date(2026, 1, 1), "-1day": timedelta(-1), "0days": timedelta(0), "ages": timedelta.max,
    "decimal": Decimal("0.5"), "unspeakable": Unspeakable(), "subclass": Text("abc"), "[]": [], "{}": {}, "tuple": (1, 2),
    "newline": "a\nb", "attempt": "x:12", "slashes": "a/b/../c", "range": range(3), "generator": (x for x in "ab"), "type": int,
    "array": np.array([1, 2]),
}  # fmt: skip

TEXT = "None nul subclass newline attempt slashes"
JSON = "None empty huge surrogate nul True 7 -1 bigint half list texts surrogates nones dict {} [] tuple newline attempt slashes subclass"
JSON = JSON + "|dict of 1"
JSON_LISTS = "list texts surrogates nones [] tuple"
IDS = "None nul subclass newline slashes"
TEXTS = "empty huge surrogate nul subclass [] newline attempt slashes texts surrogates generator"
MOMENT = "None 7 -1 bigint min max"
SPAN = "None 7 -1 bigint half inf -inf -1day 0days ages"
NATURAL = "7 bigint"

#: What is called with each odd value: the argument's name in messages, and what of the odd values is taken.
CALLS = {
    "create job_name": ("job_name", TEXT, lambda v: statuses.create(job_name=v)),
    "create queue": ("queue", TEXT, lambda v: statuses.create(queue=v)),
    "create user": ("user", TEXT, lambda v: statuses.create(user=v)),
    "create engine": ("engine", TEXT, lambda v: statuses.create(engine=v)),
    "create provider_job_id": ("provider_job_id", TEXT, lambda v: statuses.create(provider_job_id=v)),
    "create parent": ("parent", TEXT, lambda v: statuses.create(parent=v)),
    "create depends_on": ("depends_on", "None texts []", lambda v: statuses.create(depends_on=v)),
    "create job_args": ("job_args", "None {}", lambda v: statuses.create(job_args=v)),
    "create call": ("call", "None {}", lambda v: statuses.create(call=v)),
    "create call args": ("call", JSON_LISTS, lambda v: statuses.create(call={"args": v})),
    "create call kwargs": ("call", "dict {}|dict of 1", lambda v: statuses.create(call={"kwargs": v})),
    "create data": ("data", JSON, lambda v: statuses.create(data=v)),
    "create keep_for": ("keep_for", "None 0days ages", lambda v: statuses.create(keep_for=v)),
    "create keep_until_deleted": ("keep_until_deleted", "None", lambda v: statuses.create(keep_until_deleted=v)),
    "create id": ("id", IDS, lambda v: statuses.create(id=v).delete(force=True)),
    "create state": ("state", "", lambda v: statuses.create(state=v)),
    "find_or_create": ("id", "nul subclass newline slashes", lambda v: statuses.find_or_create(v).delete(force=True)),
    "find": ("id", "empty huge surrogate nul subclass newline attempt slashes", statuses.find),
    "restore": ("token", "", statuses.restore),
    "release": ("resource", "nul subclass newline attempt slashes", statuses.release),
    "load job_name": ("job_name", TEXT, lambda v: statuses.load([{"job_name": v}])),
    "load state": ("state", "None", lambda v: statuses.load([{"state": v}])),
    "load job_args": ("job_args", "None {}", lambda v: statuses.load([{"job_args": v}])),
    "load depends_on": ("depends_on", "None texts []", lambda v: statuses.load([{"depends_on": v}])),
    "load call": ("call", "None {}", lambda v: statuses.load([{"call": v}])),
    "load errors": ("error", "None [] list tuple nones texts surrogates", lambda v: statuses.load([{"errors": v}])),
    "load progress": ("progress", "None half", lambda v: statuses.load([{"progress": v}])),
    "load keep_for": ("keep_for", "None 0days ages", lambda v: statuses.load([{"keep_for": v}])),
    "load recorded_at": ("recorded_at", "None 7", lambda v: statuses.load([{"recorded_at": v}])),
    "load ended_at": ("ended_at", "None 7", lambda v: statuses.load([{"ended_at": v}])),
    "load id": ("id", IDS, lambda v: statuses.load([{"id": v}])),
    "started": ("worker", TEXT, lambda v: make_status().started(v)),
    "attempt": ("attempt", "None " + NATURAL, lambda v: make_status().succeeded(attempt=v)),
    "sources": ("sources", "None []|{}", lambda v: make_status().succeeded(sources=v)),
    "silent_for": ("silent_for", "None 0days ages", lambda v: make_status("started").failed(silent_for=v)),
    "ago": ("ago", "None 0days ages", lambda v: make_status("started").failed(ago=v)),
    "set_job_name": ("job_name", TEXT, lambda v: make_status().set_job_name(v)),
    "set_worker": ("worker", TEXT, lambda v: make_status().set_worker(v)),
    "set_provider_job_id": ("provider_job_id", TEXT, lambda v: make_status().set_provider_job_id(v)),
    "set_job_args": ("job_args", "None {}", lambda v: make_status().set_job_args(v)),
    "set_progress": ("progress", "half", lambda v: make_status().set_progress(v)),
    "set_progress out_of": ("progress", "None 7 half", lambda v: make_status().set_progress(0.5, v)),
    "set_progress message": ("message", "None empty huge surrogate nul subclass newline attempt slashes", lambda v: make_status().set_progress(1, message=v)),
    "save": ("data", JSON, lambda v: make_status().save(v)),
    "add_error": ("error", JSON, lambda v: make_status("started").add_error(v)),
    "set_call": ("call", "{}", lambda v: make_status().set_call(v)),
    "keep_for": ("keep_for", "None 0days ages", lambda v: make_status().keep_for(v)),
    "keep_until_deleted": ("keep_until_deleted", "", lambda v: make_status().keep_until_deleted(v)),
    "request_kill by": ("by", TEXT, lambda v: make_status().request_kill(by=v)),
    "request_kill reason": ("reason", TEXT, lambda v: make_status().request_kill(reason=v)),
    "delete force": ("force", "True", lambda v: make_status("failed").delete(force=v)),
    "spawn": ("job_name", TEXT, lambda v: make_status().spawn(v)),
    "order_by": ("order_by", "", lambda v: statuses.all().order_by(v)),
    "limit": ("limit", NATURAL, lambda v: statuses.all().limit(v).count()),
    "offset": ("offset", NATURAL, lambda v: statuses.all().offset(v).count()),
    "after": ("cursor", "", lambda v: statuses.all().after(v)),
    "counts_by": ("counts_by", "", lambda v: statuses.all().counts_by(v)),
    "counts_by limit": ("limit", "None " + NATURAL, lambda v: statuses.all().counts_by("job_name", limit=v)),
    "counts_by order": ("order", "", lambda v: statuses.all().counts_by("job_name", order=v)),
    "durations": ("durations", "", lambda v: statuses.all().durations(v)),
    "durations_by": ("durations_by", "", lambda v: statuses.all().durations_by(v, "run_time")),
    "bins": ("bins", "7", lambda v: statuses.all().histogram("run_time", bins=v)),
    "timeline on": ("timeline", "", lambda v: statuses.all().timeline(v)),
    "timeline after": ("after", MOMENT, lambda v: statuses.all().timeline(after=v)),
    "timeline before": ("before", MOMENT, lambda v: statuses.all().timeline(before=v)),
    "report counts_by": ("counts_by", "None {}", lambda v: statuses.all().report(counts_by=v)),
    "report earliest_by": ("earliest_by", "None {}", lambda v: statuses.all().report(earliest_by=v)),
    "report durations": ("durations", "[]|{}", lambda v: statuses.all().report(durations=v)),
    "report durations_by": ("durations_by", "None {}", lambda v: statuses.all().report(durations_by=v)),
    "report histogram": ("histogram", "None {}", lambda v: statuses.all().report(histogram=v)),
    "report timeline": ("timeline", "None {}", lambda v: statuses.all().report(timeline=v)),
    "values prefix": ("prefix", "empty huge surrogate nul subclass newline attempt slashes", lambda v: statuses.all().values("job_name", prefix=v)),
    "kill by": ("by", TEXT, lambda v: statuses.all().request_kill_all(by=v)),
    "kill progress": ("progress", "None|type", lambda v: statuses.all().limit(0).request_kill_all(progress=v)),
    "retry by": ("by", TEXT, lambda v: statuses.all().retry_all(by=v)),
    "delete_all force": ("force", "True", lambda v: statuses.all().limit(0).delete_all(force=v)),
    "delete_all only_ended": ("only_ended", "True", lambda v: statuses.all().limit(0).delete_all(only_ended=v)),
    "delete_all undo_for": ("undo_for", "None ages", lambda v: statuses.all().limit(0).delete_all(force=True, undo_for=v)),
    "page force": ("force", "True", lambda v: statuses.Statuses().delete_all(force=v)),
    "page progress": ("progress", "None|type", lambda v: statuses.Statuses().kill_now_all(progress=v)),
    "clean job_name": ("job_name", "None empty huge nul subclass [] newline attempt slashes texts", lambda v: statuses.clean(job_name=v)),
    "clean state": ("state", "None []", lambda v: statuses.clean(state=v)),
    "clean older_than": ("older_than", "None 0days ages", lambda v: statuses.clean(older_than=v, dry_run=True)),
    "clean break_promises": ("break_promises", "True", lambda v: statuses.clean(older_than=timedelta(9999), break_promises=v)),
    "clean progress": ("progress", "None|type", lambda v: statuses.clean(progress=v)),
    "namespace": ("namespace", "subclass", lambda v: statuses.config.make(namespace=v)),
    "url": ("url", "None empty", lambda v: statuses.config.make(url=v)),
    "families": ("families", "7", lambda v: statuses.config.make(families=v)),
    "retention": ("retention", "{}", lambda v: statuses.config.make(retention=v)),
    "stale_after": ("stale_after", "ages", lambda v: statuses.config.make(stale_after=v, reap_after={})),
    "timeout_seconds": ("timeout_seconds", "7 half", lambda v: statuses.config.make(timeout_seconds=v)),
    "sampled": ("sampled", "dict {}", lambda v: statuses.config.make(sampled=v)),
    "sampled share": ("sampled", "half", lambda v: statuses.config.make(sampled={"a": v})),
    "untracked": ("untracked", "[] {}|list tuple texts surrogates nones dict set bytes range array deep cycle|dict of 1", lambda v: statuses.config.make(untracked=v)),
    "cache_entries": ("cache_entries", "7 bigint", lambda v: statuses.config.make(cache_entries=v)),
}  # fmt: skip
for name in clauses.NAMES:
    taken = {"state": "[]", "kill_requested": "True", "stale": "True"}.get(name) or (
        "{} tuple" if name in (*clauses.MOMENTS, *clauses.SPANS) else TEXTS
    )
    CALLS[f"where {name}"] = (name, taken, lambda v, name=name: statuses.where(**{name: v}).count())
for name in (*clauses.MOMENTS, *clauses.SPANS):
    taken = SPAN if name in clauses.SPANS else MOMENT
    CALLS[f"since {name}"] = (
        name,
        taken,
        lambda v, name=name: (statuses.where(**{name: (v, None)}).count(), statuses.where(**{name: (v, v)}).describe()),
    )
    CALLS[f"until {name}"] = (name, taken, lambda v, name=name: statuses.all().exclude(**{name: {"before": v}}).ids())


def names(taken: str) -> set[str]:
    """The names in a line of the table: words, and behind a bar names with blanks or further ones."""
    words, *others = taken.split("|")
    found = set(words.split())
    for other in others:
        found |= {other} if other in ODD else set(other.split())
    return found


@pytest.mark.parametrize("call", CALLS)
def test_what_is_taken_is_taken_and_the_rest_named_shortly(store, call):
    argument, taken, ask = CALLS[call]
    make_status("failed", id="there")
    accepted = set()
    for name, value in ODD.items():
        try:
            ask((x for x in "ab") if name == "generator" else value)
        except (ValueError, TypeError, statuses.ConfigurationError) as error:
            assert argument in str(error), f"{name}: {error}"
            assert len(str(error)) < 700, name
        else:
            accepted.add(name)

    assert accepted == names(taken)
    assert statuses.find("there").state == "failed"
    assert statuses.check().problems == ()


def test_progress_may_be_numpys_numbers(store):
    status = make_status("started")

    for at, out_of, progress in ((np.float64(0.5), None, 0.5), (np.int64(3), np.int32(4), 0.75), (np.float32(0.25), np.float32(1), 0.25)):
        assert status.set_progress(at, out_of).progress == progress
    assert (status.progress_at, status.progress_out_of) == (0.25, 1.0)


@pytest.mark.parametrize("out_of", [10**308, 10**15, 1e308, 5e-324])
def test_progress_out_of_any_finite_number_can_be_read(store, out_of):
    status = make_status("started")

    assert status.set_progress(out_of, out_of).progress == 1.0
    assert status.set_progress(0, out_of).progress == 0.0


def test_data_of_any_depth_that_is_taken_can_be_read_deep_in_a_stack(store):
    status = make_status("started").save(nested(200)).add_error(nested(200))

    def at_depth(frames: int) -> None:
        if frames:
            return at_depth(frames - 1)
        assert (status.reload().data, status.errors) == (nested(200), [nested(200)])

    at_depth(500)
    for verb in (status.save, status.add_error):
        with pytest.raises(ValueError, match="at most 200 lists"):
            verb({"a": nested(200)})
    assert status.save([nested(199)] * 3).data == [nested(199)] * 3


def test_large_data_and_many_errors_come_back(store):
    data = {"text": "ü" * 3_000_000}
    status = make_status("started").save(data)
    store.append(keys.errors(keys.segment(current().families[0], 0), 0), "".join(f'{"0" * 16}"error {n}"\n' for n in range(100_000)))
    status.add_error("the last")

    assert status.data == data
    assert (len(status.errors), status.errors[-1], status.error_summary) == (100_001, "the last", "the last")
    status.started()
    assert len(status.prior_attempts[0].errors) == 100_001
    status.delete(force=True)
    assert not store.keys("*0:[ade][0-9]*")


def test_a_job_can_be_waited_for_itself(store):
    first = make_status("queued")

    statuses.load([{"depends_on": [first], "id": "loaded"}])

    assert statuses.create(depends_on=[first, "other"]).depends_on == [first.id, "other"]
    assert statuses.find("loaded").depends_on == [first.id]


def test_a_dependency_is_not_lost_in_an_iterator(store):
    with pytest.raises(TypeError, match="depends_on"):
        statuses.create(depends_on=(id for id in ("a", "b")))
    assert statuses.create(depends_on=("a", "b", "a")).depends_on == ["a", "b"]


def test_an_unknown_duration_is_longer_than_nothing(store):
    make_status("queued")

    assert statuses.where(run_time=(-5, None)).count() == 0
    assert statuses.where(run_time=(-5, 5)).count() == 0
    assert statuses.all().exclude(run_time=(-1, None)).count() == 1


@pytest.mark.parametrize(
    "id", ["00000000-0000-8000-8000-000000000000", "ffffffff-ffff-8fff-bfff-ffffffffffff", "a\nb", "a/../b", "x" * 200, "\0", "{x}:"]
)
def test_any_own_id_is_written_to_and_found(store, id):
    status = statuses.create(id=id, job_name="n")

    statuses.at(id).started().save([1])
    statuses.find(id).started()

    assert (statuses.find(id), statuses.where(id=id).ids(), statuses.find_or_create(id).attempt) == (status, [id], 1)
    assert statuses.find(f"{id}:0").data == [1]
    with pytest.raises(statuses.StatusExists):
        statuses.create(id=id)
    statuses.at(id).delete(force=True)
    assert statuses.find(id) is None
    assert not store.keys("*x:*")
