"""What jobs do is counted once each, with the figures of their own records, whoever tells it."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import statuses
from statuses import KillRequested, State, keys, metrics, scripts, segmentscripts
from statuses import store as stores
from statuses.metrics import BOUNDS
from statuses.testing import FrozenClock, frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store", "no_engines")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def counting(store: Any, server_url: str) -> None:
    count(server_url)


def count(url: str, **more: Any) -> None:
    statuses.configure(url=url, namespace=stores.current().config.namespace, metrics=True, **more)


@pytest.fixture
def clock() -> FrozenClock:
    with frozen_clock(datetime(2026, 11, 3, 10, 0, tzinfo=UTC)) as clock:
        yield clock


def figures() -> dict[tuple[str, ...], float]:
    """Name of a sample and its labels' values, in their order, -> value; without buckets that nothing fell into."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition()):
        for sample in family.samples:
            if not sample.name.endswith("_bucket") and not sample.name.startswith("jobs"):
                found[sample.name, *sample.labels.values()] = sample.value
    return found


def buckets(name: str, *labels: str) -> dict[str, float]:
    """Upper bound -> how many were no longer than that."""
    samples = [sample for family in text_string_to_metric_families(metrics.exposition()) for sample in family.samples]
    mine = [sample for sample in samples if sample.name == f"{name}_seconds_bucket" and tuple(sample.labels.values())[:-1] == labels]
    return {sample.labels["le"]: sample.value for sample in mine}


class TestFigures:
    pytestmark = pytest.mark.usefixtures("counting")

    def test_a_job_is_counted_with_its_own_times(self, clock):
        job = statuses.create(job_name="mail.send", queue="mail", engine="rq")
        clock.tick(1)
        job.queued()
        clock.tick(2)
        job.started("rq:worker:7")
        clock.tick(0.25)
        job.succeeded()

        assert figures() == {
            ("tasks_selected_total", "mail.send", "mail", "rq"): 1,
            ("time_in_queue_seconds_sum", "mail.send", "mail", "rq"): 2,
            ("time_in_queue_seconds_count", "mail.send", "mail", "rq"): 1,
            ("tasks_processed_total", "mail.send", "mail", "succeeded"): 1,
            ("execution_time_seconds_sum", "mail.send", "mail", "succeeded"): 0.25,
            ("execution_time_seconds_count", "mail.send", "mail", "succeeded"): 1,
            ("end_to_end_latency_seconds_sum", "mail.send", "mail", "succeeded"): 3.25,
            ("end_to_end_latency_seconds_count", "mail.send", "mail", "succeeded"): 1,
        }

    @pytest.mark.parametrize("state", ["succeeded", "failed", "killed"])
    def test_each_end_has_its_status(self, state):
        make_status(state, job_name="a", queue="q")

        assert figures()["tasks_processed_total", "a", "q", state] == 1

    def test_a_retry_is_counted_and_the_latency_is_of_all_attempts_together(self, clock):
        job = make_status("started", job_name="a", queue="q")
        clock.tick(10)
        job.requeued(failed=True)
        clock.tick(5)
        job.started()
        clock.tick(1)
        job.failed()

        found = figures()
        assert found["tasks_retried_total", "a", "q"] == 1
        assert found["tasks_selected_total", "a", "q", ""] == 2
        assert found["time_in_queue_seconds_sum", "a", "q", ""] == 5
        assert {key: value for key, value in found.items() if key[0].startswith("tasks_processed")} == {
            ("tasks_processed_total", "a", "q", "failed"): 1
        }
        assert found["execution_time_seconds_sum", "a", "q", "failed"] == 1
        assert found["end_to_end_latency_seconds_sum", "a", "q", "failed"] == 16

    def test_a_time_falls_into_every_bucket_that_it_is_no_longer_than(self, clock):
        for seconds in (0.005, 0.0051, 100_000):
            job = make_status("started", job_name="a")
            clock.tick(seconds)
            job.succeeded()

        found = buckets("execution_time", "a", "", "succeeded")
        assert [*found] == [*map(str, BOUNDS), "+Inf"]
        assert (found["0.005"], found["0.01"], found["86400.0"], found["+Inf"]) == (1, 2, 2, 3)

    def test_a_block_is_counted_as_a_job_of_any_engine(self):
        with statuses.track("a", queue="q"):
            pass
        with pytest.raises(ZeroDivisionError), statuses.track("a", queue="q"):
            _ = 1 / 0
        with statuses.track("a", queue="q") as job:
            raise KillRequested(job.id)

        found = figures()
        assert found["tasks_selected_total", "a", "q", ""] == 3
        assert [found["tasks_processed_total", "a", "q", state] for state in ("succeeded", "failed", "killed")] == [1, 1, 1]

    def test_how_many_jobs_there_are_stands_beside(self):
        make_status("queued", queue="q"), make_status("queued", queue="q"), make_status("failed")

        found = {family.name: family.samples for family in text_string_to_metric_families(metrics.exposition())}
        assert {sample.labels["state"]: sample.value for sample in found["jobs"]} == statuses.all().counts()
        assert [(sample.labels, sample.value) for sample in found["jobs_waiting"]] == [({"queue": "q"}, 2)]

    def test_every_instrument_says_what_it_is(self):
        make_status("succeeded").requeued()

        kinds = {family.name: (family.type, bool(family.documentation)) for family in text_string_to_metric_families(metrics.exposition())}
        assert kinds == {
            **dict.fromkeys(["tasks_retried", "tasks_processed", "tasks_selected"], ("counter", True)),
            **dict.fromkeys(["execution_time_seconds", "end_to_end_latency_seconds", "time_in_queue_seconds"], ("histogram", True)),
            **dict.fromkeys(["jobs", "jobs_waiting"], ("gauge", True)),
        }


class TestOnceEach:
    pytestmark = pytest.mark.usefixtures("counting")

    @pytest.mark.parametrize("again", [lambda job: job.succeeded(attempt=0), lambda job: job.failed()])
    def test_an_attempt_ends_once(self, again: Callable):
        again(make_status("succeeded", job_name="a"))

        assert [(key, value) for key, value in figures().items() if key[0] == "tasks_processed_total"] == [
            (("tasks_processed_total", "a", "", "succeeded"), 1)
        ]

    def test_an_attempt_starts_once(self):
        job = make_status("started", job_name="a")
        job.started(attempt=0)

        assert figures()["tasks_selected_total", "a", "", ""] == 1

    def test_what_was_killed_before_it_started_was_not_processed(self):
        make_status("queued").kill_now()
        make_status("queued").killed()

        assert figures() == {}

    def test_a_job_that_only_comes_due_was_not_retried(self):
        make_status("unqueued").requeued()
        make_status("unqueued").requeued(attempt=0)

        assert figures() == {}

    def test_a_restart_that_nobody_asked_for_is_no_retry(self):
        make_status("started", job_name="a").started()

        assert figures()["tasks_selected_total", "a", "", ""] == 2
        assert not any(key[0].startswith("tasks_retried") for key in figures())

    def test_what_is_loaded_or_removed_is_not_counted(self):
        statuses.load([{"job_name": "a", "state": "failed", "recorded_at": datetime(2026, 1, 1, tzinfo=UTC)}])
        statuses.all().delete_all()

        assert figures() == {}


class TestRoles:
    @pytest.mark.parametrize(
        ("roles", "role"),
        [
            ({}, "mailer"),
            ({"mailer": "mails"}, "mails"),
            ({"mailer@h1": "first", "mailer": "mails"}, "first"),
            ({"other": "x"}, "mailer"),
            (lambda worker: worker[-2:], "h1"),
            (lambda worker: None, "mailer"),
            (lambda worker: 1 / 0, "mailer"),
        ],
        ids=["none", "of a part", "of a name first", "of others", "a function's", "a function that does not know", "a function that fails"],
    )
    def test_a_role_is_what_the_project_says_else_the_name_before_the_at(self, server_url, roles, role):
        count(server_url, metrics_roles=roles)

        make_status("queued", job_name="a", engine="celery").started("mailer@h1")

        assert figures()["tasks_selected_total", "a", "", role] == 1

    @pytest.mark.parametrize(("worker", "role"), [(None, "huey"), ("rq:worker:1", "huey"), ("@h1", "huey")])
    def test_where_a_name_says_none_it_is_the_engine(self, server_url, worker, role):
        count(server_url)

        make_status("queued", job_name="a", engine="huey").started(worker)

        assert figures()["tasks_selected_total", "a", "", role] == 1


class TestBounds:
    @pytest.mark.parametrize(
        "name", ['a"b', "a\\b", "a\nb", "a\\nb", 'x"} 1\ntasks_retried_total 9', "{}", "3:abc", "ä€😀", "a\tb", "\0", "a\rb"]
    )
    def test_a_hostile_name_stays_one_label(self, counting, name):
        with statuses.track(name, queue=name):
            pass

        assert figures()["tasks_processed_total", name, name, "succeeded"] == 1
        assert not any(key[0].startswith("tasks_retried") for key in figures())

    def test_names_without_end_become_one(self, counting, monkeypatch):
        monkeypatch.setattr(metrics, "MOST", 4)
        for number in range(50):
            make_status("succeeded", job_name=f"job-{number}")

        found = figures()
        assert found["tasks_processed_total", "job-1", "", "succeeded"] == 1
        assert found["tasks_processed_total", "(other)", "(other)", "succeeded"] == 48
        assert found["tasks_selected_total", "(other)", "(other)", "(other)"] == 48
        assert stores.current().read("HLEN", keys.metrics(stores.current().families[0])) == 6

    def test_many_series_are_read_in_parts(self, counting, monkeypatch):
        monkeypatch.setattr(metrics, "STEP", 10)
        for number in range(300):
            make_status("succeeded", job_name=f"job-{number}")

        assert sum(value for key, value in figures().items() if key[0] == "tasks_processed_total") == 300

    def test_families_are_added_up(self, server_url):
        statuses.configure(url=server_url, namespace="wide", families=8, metrics=True)
        for _ in range(40):
            make_status("succeeded", job_name="a")

        assert figures()["tasks_processed_total", "a", "", "succeeded"] == 40


class TestOff:
    def test_nothing_is_counted_nor_imported(self):
        make_status("succeeded")

        assert stores.current().recorder is None
        assert figures() == {}

    def test_a_worker_that_counts_nothing_does_not_load_it(self, server_url):
        code = (
            f"import statuses, sys; statuses.configure(url={server_url!r}, namespace='off')\n"
            "with statuses.track('a'): pass\n"
            "assert 'statuses.metrics' not in sys.modules"
        )

        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

    @pytest.mark.parametrize(
        ("setting", "value"), [("metrics", "yes"), ("metrics", 1), ("metrics_roles", "x"), ("metrics_roles", {"a": 1})]
    )
    def test_nonsense_is_refused(self, setting, value):
        with pytest.raises(statuses.ConfigurationError, match=setting):
            statuses.configure(url="redis://localhost", **{setting: value})


class TestCost:
    def test_each_event_is_one_round_trip_more(self, counting, round_trips):
        make_status("started").set_progress(0.1).succeeded()
        job = make_status("queued")
        handle = statuses.at(job.id)
        round_trips.clear()

        handle.started()
        assert len(round_trips) == 2
        handle.set_progress(0.5)
        assert len(round_trips) == 3
        handle.succeeded()
        assert len(round_trips) == 5
        handle.succeeded()
        assert len(round_trips) == 6


class TestNoHarm:
    def test_a_job_whose_count_is_refused_goes_on(self, counting, store, caplog):
        store.set(keys.metrics(stores.current().families[0]), "of another type")

        with statuses.track("a") as job:
            pass

        assert job.reload().state is State.succeeded
        assert "missing in the metrics" in caplog.text

    def test_a_job_of_a_packed_segment_is_counted_with_its_own_times(self, counting, clock):
        day = timedelta(days=1)
        jobs = [make_status("started", job_name=f"job-{n}", queue="q", engine="rq") for n in (1, 2)]
        for _ in range(300):
            make_status("succeeded", keep_for=day)
        kept = make_status("started", job_name="job-3", queue="q")
        segmentscripts.open_segment(stores.current(), 0, 1)
        clock.tick(2 * day)
        assert statuses.clean().packed == 1
        jobs[1].succeeded(), kept.failed(), kept.started()

        found = figures()
        assert found["execution_time_seconds_sum", "job-2", "q", "succeeded"] == 2 * day.total_seconds()
        assert found["tasks_processed_total", "job-3", "q", "failed"] == 1
        assert found["tasks_selected_total", "job-3", "q", ""] == 2

    def test_everything_is_gone_with_the_store(self, counting, store):
        from statuses.removal import erase

        make_status("succeeded")
        assert statuses.check().problems == ()

        erase(stores.current())

        assert store.keys() == []

    def test_a_job_that_cannot_be_found_to_be_counted_goes_on(self, counting, monkeypatch, caplog):
        job = make_status("queued")
        real = [job._place]

        def found_once():
            return real.pop()()

        monkeypatch.setattr(job, "_place", found_once)

        assert job.started().changed
        assert "missing in the metrics" in caplog.text

    @pytest.mark.parametrize(
        ("module", "name", "arguments"),
        [("billiard.exceptions", "SoftTimeLimitExceeded", ()), ("rq.timeouts", "JobTimeoutException", ("too long",))],
        ids=["Celery's", "RQ's"],
    )
    @pytest.mark.parametrize("at", ["the count", "the role"])
    def test_a_limit_of_time_reaches_the_job_that_it_is_for(self, server_url, monkeypatch, at, module, name, arguments):
        limit = getattr(pytest.importorskip(module), name)

        def over(*_):
            raise limit(*arguments)

        count(server_url, metrics_roles=over if at == "the role" else {})
        if at == "the count":
            monkeypatch.setattr(scripts, "meter", over)

        with pytest.raises(limit):
            make_status("queued").started("w@h1")


class TestNoted:
    """The end of another job, of which one hears while one tells something else."""

    pytestmark = pytest.mark.usefixtures("counting")

    @pytest.fixture
    def noted(self):
        status = make_status("succeeded", job_name="b")
        stores.current().recorder.note(status, State.succeeded)
        return status

    def test_it_is_counted_with_what_is_told_next(self, noted):
        assert figures()["tasks_processed_total", "b", "", "succeeded"] == 1

        make_status("unqueued").queued()

        assert figures()["tasks_processed_total", "b", "", "succeeded"] == 2

    def test_it_is_counted_when_the_store_is_left(self, noted, server_url):
        count(server_url)

        assert figures()["tasks_processed_total", "b", "", "succeeded"] == 2

    def test_a_forked_child_leaves_it_to_its_parent(self, noted):
        child = os.fork()
        if not child:
            stores.current().tell()
            os._exit(len(stores.current().recorder._noted))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert figures()["tasks_processed_total", "b", "", "succeeded"] == 1

        stores.current().tell()

        assert figures()["tasks_processed_total", "b", "", "succeeded"] == 2


class TestOpenTelemetry:
    def test_the_process_that_tells_records_the_same(self, store, server_url, clock, monkeypatch):
        sdk = pytest.importorskip("opentelemetry.sdk.metrics")
        from opentelemetry import metrics as api
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        provider = sdk.MeterProvider([reader])
        monkeypatch.setattr(api, "get_meter", provider.get_meter)
        count(server_url)
        job = make_status("queued", job_name="a", queue="q", engine="celery")
        clock.tick(2)
        job.started("mailer@h1")
        clock.tick(0.5)
        job.requeued()
        clock.tick(1)
        job.started("mailer@h1")
        clock.tick(0.25)
        job.succeeded()

        found = {metric.name: metric for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics for metric in scope.metrics}
        points = {name: metric.data.data_points[0] for name, metric in found.items()}
        ran, done = {"task": "a", "queue": "q", "role": "mailer"}, {"task": "a", "queue": "q", "status": "succeeded"}
        assert {name: (dict(point.attributes), getattr(point, "value", None) or point.sum) for name, point in points.items()} == {
            "tasks_selected": (ran, 2), "time_in_queue": (ran, 3), "tasks_retried": ({"task": "a", "queue": "q"}, 1),
            "tasks_processed": (done, 1), "execution_time": (done, 0.25), "end_to_end_latency": (done, 3.75),
        }  # fmt: skip
        assert {name: metric.unit for name, metric in found.items() if name.endswith(("time", "latency", "queue"))} == {
            "execution_time": "s", "end_to_end_latency": "s", "time_in_queue": "s",
        }  # fmt: skip
        assert points["execution_time"].explicit_bounds == BOUNDS

    def test_without_it_prometheus_has_the_figures(self, store, server_url, monkeypatch):
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        count(server_url)

        make_status("succeeded", job_name="a")

        assert figures()["tasks_processed_total", "a", "", "succeeded"] == 1
