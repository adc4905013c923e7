"""`track()` and `current()`: a block or a function as a job that is never harmed by being tracked."""

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import statuses
from statuses.tracked import Tracked


@pytest.fixture
def away():
    """A store that nobody answers for."""
    statuses.configure(url="unix:///nonexistent/jobadmin.sock", namespace="away")


def newest() -> statuses.Status:
    found = statuses.all().first()
    assert found is not None
    return found


class Untold:
    """A job of which nothing is told: threads meet more often where none waits for the store."""

    ends = 0

    def succeeded(self) -> None:
        self.ends += 1

    def __eq__(self, other: object) -> bool:
        time.sleep(0)  # others go on meanwhile
        return self is other

    __hash__ = object.__hash__


@pytest.mark.usefixtures("store")
class TestTrack:
    def test_a_block_that_ends_is_a_job_that_succeeded(self):
        with statuses.track("a", job_args={"book": "Book:1"}, queue="q", user="u") as job:
            assert job.state == "started"
            job.set_progress(1, 2)

        found = newest()
        assert (found.state, found.job_name, found.queue, found.user, found.progress) == ("succeeded", "a", "q", "u", 1.0)

    def test_a_block_that_raises_is_a_job_that_failed_and_the_error_goes_on(self):
        with pytest.raises(ZeroDivisionError), statuses.track("a"):
            _ = 1 / 0

        found = newest()
        assert found.state == "failed"
        assert found.errors[0]["class"] == "ZeroDivisionError"

    def test_a_block_that_is_asked_to_die_is_a_job_that_was_killed(self):
        with statuses.track("a") as job:
            statuses.find(job.id).request_kill(by="ops")
            job.check_kill()
            raise AssertionError("it went on")

        assert newest().state == "killed"

    def test_a_request_to_the_job_around_ends_both(self):
        @statuses.track("helper")
        def helper(job: statuses.Status) -> None:
            job.check_kill()

        with statuses.track("job") as job:
            job.request_kill(by="ops")
            helper(job)
            pytest.fail("the job goes on")

        assert {name: statuses.where(job_name=name).first().state for name in ("job", "helper")} == {"job": "killed", "helper": "killed"}

    def test_a_request_to_the_job_within_ends_that_alone(self):
        with statuses.track("job") as job:
            with statuses.track("helper") as within:
                within.request_kill(by="ops")
                within.check_kill()
            job.save("went on")

        assert (job.reload().state, job.data, within.reload().state) == ("succeeded", "went on", "killed")
        assert newest().errors == []

    def test_current_is_the_job_inside_and_what_it_was_before_outside(self):
        assert statuses.current() is None
        with statuses.track("outer") as outer:
            with statuses.track("inner") as inner:
                assert statuses.current() is inner
            assert statuses.current() is outer
        assert statuses.current() is None

    def test_a_decorated_function_is_a_job_at_each_call(self):
        @statuses.track("double")
        def double(number):
            assert statuses.current().job_name == "double"
            return 2 * number

        assert [double(2), double(number=3)] == [4, 6]
        assert statuses.where(job_name="double", state="succeeded").count() == 2
        assert double.__name__ == "double"

    def test_a_decorated_coroutine_is_a_job_at_each_call(self):
        @statuses.track("later")
        async def later(number):
            await asyncio.sleep(0)
            statuses.current().save(number)
            return number

        async def both():
            return await asyncio.gather(later(1), later(2))

        # In a thread of its own: a browser's loop may run in this one.
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(asyncio.run, both()).result() == [1, 2]
        assert sorted(job.data for job in statuses.where(job_name="later", state="succeeded")) == [1, 2]

    def test_threads_each_have_their_own_current_job(self):
        seen = {}

        def work(name):
            with statuses.track(name) as job:
                seen[name] = statuses.current() is job

        threads = [threading.Thread(target=work, args=(f"job-{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert all(seen.values()) and len(seen) == 8
        assert statuses.where(state="succeeded").count() == 8

    def test_one_object_tracks_blocks_of_many_threads_at_once(self):
        tracked, inside = statuses.track("shared"), threading.Barrier(8)

        def work(number):
            with tracked as job:
                inside.wait(60)
                assert statuses.current() is job
                job.save(number)
                if number % 2:
                    raise ValueError(number)

        def caught(number):
            with pytest.raises(ValueError) if number % 2 else contextlib.nullcontext():
                work(number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(caught, range(8)))

        assert {job.data for job in statuses.where(state="failed")} == {1, 3, 5, 7}
        assert {job.data for job in statuses.where(state="succeeded")} == {0, 2, 4, 6}

    def test_blocks_of_one_object_end_their_own_jobs_while_others_begin(self, monkeypatch):
        tracked, wrong = statuses.track("many"), []
        monkeypatch.setattr(Tracked, "begin", lambda as_create: Untold())

        def run(_):
            for _ in range(1000):
                with tracked as job:
                    pass
                wrong.extend([] if job.ends == 1 else [job])

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(run, range(6)))
        finally:
            sys.setswitchinterval(interval)

        assert wrong == []

    def test_one_object_tracks_tasks_that_take_turns(self):
        tracked = statuses.track("shared")

        async def work(number, before, after):
            async with tracked as job:
                await before.wait()
                assert statuses.current() is job
                job.save(number)
            after.set()

        async def both():
            one, two, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
            go.set()
            await asyncio.gather(work(1, one, two), work(2, go, one))

        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(asyncio.run, both()).result()
        assert sorted(job.data for job in statuses.where(job_name="shared", state="succeeded")) == [1, 2]

    def test_a_block_that_is_left_in_another_context_ends_all_the_same(self):
        def steps():
            with statuses.track("a"):
                yield

        going = contextvars.copy_context().run(lambda: (made := steps(), next(made))[0])
        going.close()

        assert newest().state == "failed"
        assert statuses.current() is None

    @pytest.mark.parametrize("make", [lambda: statuses.track(len), lambda: statuses.track("a", queu="q"), lambda: statuses.track(7)])
    def test_a_wrong_use_is_refused_where_it_is_written(self, make):
        with pytest.raises(TypeError, match=r"track|job_name"):
            make()

    def test_what_does_not_run_when_it_is_called_is_refused(self):
        def generator():
            yield

        async def later():
            yield

        for wrong in (generator, later, int):
            with pytest.raises(TypeError, match="to their end"):
                statuses.track("a")(wrong)

    def test_the_name_of_a_decorated_function_is_its_own_unless_given(self):
        @statuses.track()
        def mine():
            pass

        mine()

        assert newest().job_name.endswith("mine")

    def test_what_is_called_without_a_name_of_its_own_is_named_by_its_type(self):
        assert statuses.track()(functools.partial(max, 3))(4) == 4

        assert (newest().job_name, newest().state) == ("partial", "succeeded")

    def test_an_error_that_cannot_say_itself_does_not_hide(self):
        class Odd(Exception):
            __notes__ = 7

            @property
            def __cause__(self):
                raise RuntimeError("no cause")

            def __str__(self):
                raise RuntimeError("no text")

        with pytest.raises(Odd), statuses.track("a"):
            raise Odd

        assert newest().state == "failed"
        assert newest().errors[0]["class"].endswith("Odd")

    def test_a_job_removed_while_it_runs_goes_on_and_says_so_once(self, caplog):
        with caplog.at_level(logging.WARNING, "statuses"), statuses.track("a") as job:
            statuses.find(job.id).delete(force=True)
            job.set_progress(0.5)
            job.set_progress(0.6)
            job.check_kill()

        assert statuses.all().count() == 0
        assert len([record for record in caplog.records if "untracked" in record.message]) == 1

    def test_bad_values_are_still_refused_inside(self):
        with pytest.raises(ValueError, match="progress"), statuses.track("a") as job:
            job.set_progress(7)

        assert newest().state == "failed"


@pytest.mark.usefixtures("away")
def test_a_store_that_is_away_is_logged_and_the_block_runs(caplog):
    ran = []

    with caplog.at_level(logging.WARNING, "statuses"), statuses.track("a") as job:
        job.set_progress(0.5).add_error("x").heartbeat()
        job.check_kill()
        ran.append(True)

    assert ran == [True]
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("away")
def test_an_error_of_the_block_goes_on_when_the_store_is_away():
    with pytest.raises(KeyError), statuses.track("a"):
        raise KeyError("own")


@pytest.mark.usefixtures("away")
def test_everything_else_says_that_the_store_is_away():
    for action in (statuses.create, statuses.all().count, lambda: statuses.find("x"), statuses.ping, lambda: statuses.load([{}])):
        with pytest.raises(statuses.StoreUnavailable):
            action()


def test_a_block_with_an_id_of_its_own_runs_once_only(store):
    ran = []
    for _ in range(2):
        with contextlib.suppress(statuses.StatusExists), statuses.track("a", id="nightly-2026-10-31"):
            ran.append(1)

    assert (len(ran), statuses.find("nightly-2026-10-31").state, statuses.all().count()) == (1, "succeeded", 1)
    with pytest.raises(statuses.StatusExists, match="nightly-2026-10-31"), statuses.track("a", id="nightly-2026-10-31"):
        pytest.fail("it ran again")


def test_a_function_with_an_id_of_its_own_runs_once_only_even_where_it_failed(store):
    ran = []

    @statuses.track("a", id="once")
    def work():
        ran.append(1)
        raise KeyError("own")

    with pytest.raises(KeyError):
        work()
    with pytest.raises(statuses.StatusExists):
        work()

    assert (len(ran), statuses.find("once").state, statuses.find("once").attempt) == (1, "failed", 0)
