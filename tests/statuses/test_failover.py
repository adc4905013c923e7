"""A replica takes over that had not heard everything: no answer and no record is made of what was never true there."""

import random
from datetime import timedelta

import pytest

import statuses
from statuses import clock, keys
from statuses.cache import partials
from statuses.columns import SEGMENT_ROWS
from statuses.store import current
from tests.servers import until
from tests.statuses.instances import instances
from tests.statuses.proxy import Proxy
from tests.statuses.test_replica import answers, heard, something


@pytest.fixture
def pair(tmp_path):
    """A primary behind a line that can be turned, and its replica."""
    with instances() as make:
        primary = make("--repl-diskless-sync-delay", "0")
        replica = make("--replicaof", "127.0.0.1", str(primary.port))
        with Proxy(tmp_path, primary.socket) as line:
            statuses.configure(url=line.url, namespace="pair")
            yield Pair(primary, replica, line)


class Pair:
    def __init__(self, primary, replica, line):
        self.primary, self.replica, self.line = primary, replica, line

    def lag(self):
        """From now on the replica hears nothing: it has everything up to here."""
        told = self.primary.client().info("replication")["master_repl_offset"]
        until(lambda: heard(self.replica) >= told, "the replica has caught up")
        self.replica.client().replicaof("NO", "ONE")

    def fail_over(self):
        """The replica is the primary now, for clients that know nothing of it."""
        self.line.turn_to(self.replica.socket)


def names():
    """Every job's name, by every way to it."""
    facets = {facet.value: facet.total for facet in statuses.all().counts_by("job_name")}
    listed = [status.job_name for status in statuses.all().order_by("recorded_at").run()]
    assert facets == {name: listed.count(name) for name in listed}
    for name in set(listed):
        assert statuses.where(job_name=name).count() == listed.count(name)
    return listed


def test_codes_that_stand_for_other_texts_by_now_are_read_anew(pair):
    statuses.create(job_name="a")
    pair.lag()
    for name in ("b", "c", "d"):
        statuses.create(job_name=name)
    assert names() == ["a", "b", "c", "d"]

    pair.fail_over()
    # Of the lost texts one comes back in its old place: that the last one is the same proves nothing.
    for name in ("x", "c", "y", "z"):
        statuses.create(job_name=name)

    assert names() == ["a", "x", "c", "y", "z"]
    assert statuses.where(job_name=["b", "d"]).count() == 0


def test_the_last_text_being_the_same_proves_nothing(pair):
    statuses.create(job_name="a")
    pair.lag()
    for name in ("b", "c"):
        statuses.create(job_name=name)
    assert names() == ["a", "b", "c"]

    pair.fail_over()
    for name in ("x", "c"):
        statuses.create(job_name=name)

    assert names() == ["a", "x", "c"]
    assert [statuses.find(id).job_name for id in statuses.all().order_by("recorded_at").ids()] == ["a", "x", "c"]


def test_a_loaded_job_is_called_what_it_is_called_now(pair):
    first = statuses.create(job_name="a")
    pair.lag()
    for name in ("b", "c"):
        statuses.create(job_name=name).reload()
    first.reload()

    pair.fail_over()
    made = [statuses.create(job_name=name) for name in ("x", "c")]

    assert [status.job_name for status in (first.reload(), *made)] == ["a", "x", "c"]


def test_a_prior_attempt_is_called_what_it_is_called_now(pair):
    job = statuses.create()
    pair.lag()
    other = statuses.create().started(worker="lost")
    assert other.reload().worker == "lost"

    pair.fail_over()
    job.started(worker="new").requeued()

    assert [attempt.worker for attempt in job.reload().prior_attempts] == ["new"]


def test_a_version_of_the_lost_time_is_never_taken_for_one_of_now(pair):
    lost = statuses.create(job_name="a")
    pair.lag()
    lost.started().succeeded()
    counted = statuses.all().counts()
    assert counted[statuses.State.succeeded] == 1

    pair.fail_over()
    assert statuses.all().counts()[statuses.State.unqueued] == 1
    lost.started().failed()

    assert statuses.all().counts() == {state: int(state == "failed") for state in statuses.State}
    assert statuses.all().durations("run_time").n == 1
    assert lost.reload().state == "failed"


def test_a_job_that_was_lost_is_not_found_where_another_is_now(pair):
    statuses.create()
    pair.lag()
    lost = statuses.create(job_name="lost", job_args={"a": "Book:1"}, id=None)
    owned = statuses.create(id="own", job_name="lost")

    pair.fail_over()
    instead = [statuses.create(job_name="new") for _ in range(2)]

    assert statuses.find(lost.id) is None and statuses.find(owned.id) is None
    assert statuses.where(id=[lost.id, "own"]).count() == statuses.where(job_arg="Book:1").count() == 0
    for status in (lost, owned):
        with pytest.raises(statuses.StatusNotFound):
            status.started()
    assert [status.reload().state for status in instead] == ["unqueued"] * 2
    assert statuses.create(id="own").state == "unqueued"


def test_a_job_with_its_own_id_that_was_lost_is_not_written_to_where_another_is_now(pair):
    statuses.create()
    pair.lag()
    lost = statuses.create(id="lost")

    pair.fail_over()
    other = statuses.create(id="other")

    assert lost._place().row == other._place().row
    for verb in (lost.started, lost.heartbeat, lambda: lost.set_job_name("n"), lambda: lost.set_job_args({"a": "B:1"}), lost.reload):
        with pytest.raises(statuses.StatusNotFound):
            verb()
    assert other.reload().state == "unqueued"


def test_a_segment_that_was_filled_again_has_other_bounds(pair):
    at = clock.to_us(statuses.server_time()) - 10**12
    early, late = at, at + 10**11
    span = (clock.from_us(late - 10**9), clock.from_us(late + 10**9))
    statuses.load({"recorded_at": early + n} for n in range(SEGMENT_ROWS - 1000))
    pair.lag()
    statuses.load({"recorded_at": early + n} for n in range(2000))
    assert statuses.where(recorded_at=span).count() == 0
    assert sum(sum(bucket.counts.values()) for bucket in statuses.all().timeline(buckets=3)) == SEGMENT_ROWS + 1000
    assert current().current[0] == 1

    pair.fail_over()
    statuses.load({"recorded_at": late + n} for n in range(2000))
    statuses.where(recorded_at=(early, early)).first().started()

    assert statuses.where(recorded_at=span).count() == 2000
    assert statuses.all().count() == SEGMENT_ROWS + 1000


def test_a_writer_whose_segment_was_lost_opens_it_again(pair):
    statuses.create(job_name="old")
    pair.primary.client().set(keys.rows(keys.segment(current().families[0], 0)), SEGMENT_ROWS - 1)
    pair.lag()
    for _ in range(3):
        statuses.create(job_name="lost")
    assert current().current[0] == 1

    pair.fail_over()
    made = [statuses.create(job_name="new") for _ in range(3)]

    assert statuses.where(job_name="new").ids() == [status.id for status in made[::-1]]
    assert statuses.all().count() == 4
    assert statuses.check().found == 0


def test_a_primary_that_became_a_replica_is_left_for_the_new_one(pair):
    """The address leads elsewhere by now, the lines to the old primary still stand."""
    status = statuses.create(job_name="a")
    pair.lag()
    pair.primary.client().replicaof("127.0.0.1", pair.replica.port)
    pair.line.upstream = str(pair.replica.socket)

    status.started()

    assert status.changed and status.reload().attempt == 0
    assert statuses.create(job_name="b").state == "unqueued"
    assert pair.replica.client().dbsize() > 0


def test_removals_that_were_lost_can_be_done_again(pair):
    statuses.create(state="failed")
    pair.lag()
    done = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10))
    assert statuses.all().count() == 0

    pair.fail_over()

    assert statuses.all().count() == 1
    assert statuses.restore(done.undo).changed == 0
    assert statuses.all().delete_all().changed == 1


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_lost_and_written_instead_no_cached_answer_lies(pair, seed):
    chance, jobs = random.Random(seed), []
    for _ in range(30):
        something(chance, jobs)
    answers()
    pair.lag()
    for _ in range(30):
        something(chance, jobs)
    lost = answers()

    pair.fail_over()
    back = answers()
    for _ in range(30):
        something(chance, jobs)
    now = answers()

    assert lost != back != now
    statuses.configure(url=pair.line.url, namespace="pair")
    partials.clear()
    assert answers() == now
    assert statuses.check().problems == ()


def test_versions_go_on_and_none_of_the_lost_time_comes_back(pair):
    job = statuses.create(job_name="a")
    pair.lag()
    kept, lost = statuses.version().text, set()
    for number in range(5):
        job.set_queue(f"q{number}")
        lost.add(statuses.version().text)

    pair.fail_over()
    assert statuses.version().text == kept
    seen = set()
    for number in range(5):
        job.set_queue(f"q{number}")
        seen.add(statuses.version().text)

    assert len(lost) == len(seen) == 5
    assert not lost & seen and kept not in lost | seen


def test_attempts_that_were_lost_are_counted_again_and_hold_what_is_true_now(pair):
    job = statuses.create(state="started")
    pair.lag()
    job.add_error("lost").failed()
    job.started(worker="lost").save(["lost"])
    assert job.reload().attempt == 1 and job.prior_attempts[0].errors == ["lost"]

    pair.fail_over()
    assert (job.reload().attempt, job.errors, job.data, job.worker) == (0, [], None, None)
    job.add_error("true").failed()
    job.started(worker="new")

    assert (job.reload().attempt, job.worker, job.data) == (1, "new", None)
    assert [(one.state, one.errors) for one in job.prior_attempts] == [("failed", ["true"])]
    assert statuses.find(f"{job.id}:1") is None


def test_a_kill_request_that_was_lost_is_asked_again_by_who_asks_again(pair):
    job = statuses.create(state="started")
    pair.lag()
    statuses.all().request_kill_all(by="lost", reason="lost")
    assert statuses.where(kill_requested=True).count() == 1

    pair.fail_over()

    assert statuses.where(kill_requested=True).count() == 0
    job.check_kill()
    assert statuses.all().request_kill_all(by="ops").changed == 1
    assert (job.reload().kill_requested_by, job.kill_reason) == ("ops", None)


def test_a_page_goes_on_from_a_job_that_was_lost(pair):
    kept = [statuses.create().id for _ in range(4)]
    pair.lag()
    statuses.create()
    page = statuses.all().limit(1).run()

    pair.fail_over()

    assert statuses.all().after(page.next).ids() == kept[::-1]
