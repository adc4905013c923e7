"""Whatever is done to it in whatever order, the service is what a naive model of it is."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, precondition, rule, run_state_machine_as_test

import statuses
from statuses import clock, removal, segmentscripts
from statuses.states import COMPLETED, ENDED, State
from statuses.store import current
from statuses.testing import FrozenClock
from tests.statuses import naive
from tests.statuses.model import GROUPS, Model, ModelJob, Refused, of
from tests.statuses.test_query_against_naive import ORDERS, check

_namespaces = (f"model{n}" for n in itertools.count())
TEXTS = st.sampled_from([None, "alpha", "beta", "épsilon"])
ARGS = st.dictionaries(st.sampled_from("ab"), st.sampled_from([*naive.RESOURCES, [], ["Book:1", "Book:1", "Book:2"]]), max_size=2)
DATA = st.sampled_from([None, 0, "", [], {}, {"a": [1.0, 10**20, None]}, "ü", "x" * 100])
ERRORS = st.sampled_from(["disk full", "timeout after 5 s", "timeout after 70 s", {"class": "pkg.Boom"}, 17])
STATES = st.sampled_from(list(State))
SOURCES = st.none() | st.sets(st.sampled_from([state.value for state in State]))
ATTEMPTS = st.sampled_from([None, None, None, 0, 1])
OWN_IDS = st.sampled_from(["one", "two", "drei:x", "01890a5d-ac96-8000-8000-000000000001"])
NAMED = {"user": "bob", "queue": "q"}
assert set(map(str, [*GROUPS]))


@dataclass
class Walk:
    """Somebody on the way through the pages of a list, while others write."""

    order: str
    size: int
    places: dict[str, tuple]
    """Where each job stood when it was looked at first, of those that stand there still."""
    seen: list[str]
    next: str | None


class Service(RuleBasedStateMachine):
    """Each rule does the same to the service and to the model."""

    url = ""
    families = 1
    jobs = Bundle("jobs")
    walks = Bundle("walks")
    tokens = Bundle("tokens")

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed):
        statuses.configure(url=self.url, namespace=next(_namespaces), families=self.families)
        # Segments are made in full length: those of earlier examples would fill the machine.
        current().writer.flushall()
        # Which family a job falls into decides the order of answers: a failure could not be found again.
        current().some_family = partial(Random(seed).randrange, self.families)
        self.clock = FrozenClock(clock.from_us(1_780_000_000_000_000))
        self.model, self.random, self.known = Model(), Random(seed), set()
        self.model.set_time(clock.frozen_us())

    def teardown(self):
        try:
            if hasattr(self, "model"):
                self.everything_is_found()
        finally:
            clock.freeze(None)

    def both(self, act, expect):
        """What the service does and what the model does are the same, refusals too."""
        try:
            expected = expect()
        except Refused as refused:
            with pytest.raises(getattr(statuses, refused.args[0])):
                act()
            return None
        found = act()
        assert found == expected
        return found

    def job(self, id):
        """The model's job, or a refusal where it is gone."""
        if id not in self.model.jobs:
            raise Refused("StatusNotFound")
        return self.model.jobs[id]

    def write(self, id, act, expect):
        """A verb on one job, by a handle or a loaded status; then the job is what the model says."""

        def through():
            status = statuses.at(id) if self.random.random() < 0.5 else statuses.find(id)
            if status is None:
                raise statuses.StatusNotFound(id)
            return act(status)

        self.both(through, lambda: expect(self.job(id)))
        self.looks_right(id)

    @rule(step=st.sampled_from([0, 1, 1, 999, 1_000_000, 61_000_000, 86_400_000_000, 20 * 86_400_000_000]))
    def tick(self, step):
        self.clock.tick(timedelta(microseconds=step))
        self.model.set_time(clock.frozen_us())

    @precondition(lambda self: len(self.model.jobs) < 8)
    @rule(
        target=jobs,
        state=STATES,
        name=TEXTS,
        queue=TEXTS,
        user=TEXTS,
        job_args=ARGS,
        provider=TEXTS,
        data=DATA,
        parent=st.none() | jobs,
        before=st.none() | jobs,
        own=st.none() | OWN_IDS,
    )
    def create(self, state, name, queue, user, job_args, provider, data, parent, before, own):
        if own is not None and own in self.model.jobs:
            with pytest.raises(statuses.StatusExists):
                statuses.create(id=own)
            return own
        made = statuses.create(
            job_name=name,
            queue=queue,
            user=user,
            job_args=job_args,
            provider_job_id=provider,
            data=data,
            parent=parent,
            depends_on=[before, "nobody", before] if before else None,
            root=before,
            id=own,
            state=state,
        )
        self.add(made, state, name, queue, user, job_args, provider, parent).data = data
        if before:
            self.model.jobs[made.id].depends_on, self.model.jobs[made.id].root = [before, "nobody"], before
        if state is State.succeeded:
            self.model.jobs[made.id].progress = 1.0
        self.looks_right(made.id)
        return made.id

    def add(self, made, state, name=None, queue=None, user=None, job_args=None, provider=None, parent=None):
        job = ModelJob(made.id, self.model.now, made._place())
        self.model.add(job)
        job.texts |= {"job_name": name, "queue": queue, "user": user}
        job.job_args, job.provider_job_id, job.parent = job_args or {}, provider, parent
        job.enter(state)
        self.known.add(made.id)
        return job

    @precondition(lambda self: len(self.model.jobs) < 8)
    @rule(target=jobs, own=OWN_IDS)
    def find_or_create(self, own):
        found = statuses.find_or_create(own)
        if own not in self.model.jobs:
            self.add(found, State.unknown)
        self.looks_right(own)
        return own

    @precondition(lambda self: len(self.model.jobs) < 8)
    @rule(
        target=jobs, number=st.integers(1, 4), state=STATES, back=st.integers(1, 10**13), own=st.none() | OWN_IDS, error=st.none() | ERRORS
    )
    def load(self, number, state, back, own, error):
        at = self.model.now - back
        times = {"recorded_at": at, "queued_at": at + 5, "started_at": at + 7}
        record = {"state": state.value, "job_name": "old", "job_args": {"a": "Book:1"}, **times, "errors": [] if error is None else [error]}
        records = [{**record, "queue": f"q{n}"} for n in range(number)]
        if own is not None:
            records[-1]["id"] = own
        if own in self.model.jobs:
            with pytest.raises(statuses.StatusExists):
                statuses.load(records)
            return multiple()
        before = set(statuses.all().ids())
        assert statuses.load(records) == number
        new = [id for id in statuses.all().ids() if id not in before]
        for id in new:
            found = statuses.find(id)
            job = self.add(found, State.unqueued, "old", found.queue, None, {"a": "Book:1"})
            job.at, job.loaded_at = dict(times), self.model.now
            job.state = state
            if state in ENDED:
                job.at[f"{state}_at"] = at + 7
            job.progress = 1.0 if state is State.succeeded else None
            if error is not None:
                job.add_error(error)
        assert len(new) == number
        for id in new:
            self.looks_right(id)
        return multiple(*new)

    @rule(id=jobs, state=STATES.filter(lambda state: state is not State.started), attempt=ATTEMPTS, sources=SOURCES)
    def move(self, id, state, attempt, sources):
        def act(status):
            return getattr(status, state.value)(attempt=attempt, sources=sources).changed

        self.write(id, act, lambda job: job.move(state, attempt, sources))

    @rule(id=jobs, state=STATES.filter(lambda state: state in ENDED), data=DATA, error=st.none() | ERRORS, attempt=ATTEMPTS)
    def finish(self, id, state, data, error, attempt):
        if state is State.succeeded:
            more, given = {"data": data}, (None, data)
        else:
            more, given = {"error": error}, (error, None)
        self.write(
            id,
            lambda status: getattr(status, state.value)(attempt=attempt, **more).changed,
            lambda job: job.move(state, attempt, None, *given),
        )

    @rule(id=jobs, worker=st.sampled_from([None, "w1", "w2"]), attempt=ATTEMPTS, sources=SOURCES, refuse=st.booleans())
    def start(self, id, worker, attempt, sources, refuse):
        def act(status):
            try:
                return status.started(worker, attempt=attempt, sources=sources, refuse_killed=refuse).changed
            except statuses.KillRequested:
                if id in self.model.jobs:
                    raise
                # Removed since: whoever killed it meant the job, and tidied up afterwards.
                assert refuse and naive.is_generated(id) and self.model.gone[id].was_killed_waiting
                raise statuses.StatusNotFound(id) from None

        self.write(id, act, lambda job: job.start(worker, attempt, sources, refuse))

    @rule(id=jobs)
    def start_again(self, id):
        self.write(id, lambda status: status.started().changed, lambda job: job.start(None, None, None, False))

    @rule(id=jobs, attempt=ATTEMPTS, sources=SOURCES)
    def requeue(self, id, attempt, sources):
        def act(status):
            return status.requeued(attempt=attempt, sources=sources).changed

        self.write(id, act, lambda job: job.requeue(attempt, sources))

    @rule(id=jobs, error=ERRORS)
    def add_error(self, id, error):
        self.write(id, lambda status: status.add_error(error) and None, lambda job: job.add_error(error))

    @rule(id=jobs, at=st.sampled_from([0, 1, 3, 7.0]), message=st.sampled_from([None, "", "page 1", "m" * 100]))
    def progress(self, id, at, message):
        def expect(job):
            job.progress = at / 7
            if message is not None:
                job.message = message or None
            if "heartbeat_at" in job.at:  # of a job that gives heartbeats progress is one more
                job.at.update(heartbeat_at=job.now)

        self.write(id, lambda status: status.set_progress(at, 7, message=message) and None, expect)

    @rule(id=jobs, data=DATA, unless_kept=st.booleans())
    def save(self, id, data, unless_kept):
        def expect(job):
            if not unless_kept or job.data is None:
                job.data = data

        self.write(id, lambda status: status.save(data, unless_kept=unless_kept) and None, expect)

    @rule(id=jobs, name=st.sampled_from(["job_name", "queue", "user", "worker", "engine"]), text=TEXTS)
    def label(self, id, name, text):
        def expect(job):
            job.texts[name] = text

        self.write(id, lambda status: getattr(status, f"set_{name}")(text) and None, expect)

    @rule(id=jobs, job_args=ARGS)
    def set_job_args(self, id, job_args):
        self.write(id, lambda status: status.set_job_args(job_args) and None, lambda job: setattr(job, "job_args", job_args))

    @rule(id=jobs, provider=TEXTS)
    def set_provider_job_id(self, id, provider):
        self.write(id, lambda status: status.set_provider_job_id(provider) and None, lambda job: setattr(job, "provider_job_id", provider))

    @rule(id=jobs)
    def heartbeat(self, id):
        self.write(id, lambda status: status.heartbeat() and None, lambda job: job.at.update(heartbeat_at=job.now))

    @rule(id=jobs, by=TEXTS, reason=st.sampled_from([None, "why", "r" * 100]), end_queued=st.booleans())
    def request_kill(self, id, by, reason, end_queued):
        self.write(
            id,
            lambda status: status.request_kill(by, reason, end_queued=end_queued).changed,
            lambda job: job.request_kill(by, reason, end_queued) in ("requested", "killed"),
        )

    @rule(id=jobs)
    def check_kill(self, id):
        def expect(job):
            if "kill_requested_at" in job.at:
                raise Refused("KillRequested")

        self.write(id, lambda status: status.check_kill(), expect)

    @rule(id=jobs, force=st.booleans())
    def delete(self, id, force):
        self.both(lambda: statuses.at(id).delete(force=force), lambda: self.model.delete(id, force))
        self.looks_right(id)

    @rule(id=jobs, days=st.sampled_from([None, 0, 1, 40]))
    def keep_for(self, id, days):
        time = None if days is None else timedelta(days=days)
        kept = None if days is None else days * 86_400_000_000
        self.write(id, lambda status: status.keep_for(time) and None, lambda job: setattr(job, "keep_for", kept))

    def chosen(self):
        """Some jobs, and a query for them: all that match, the first of them in some order, or those that are on a page."""
        terms = naive.random_terms(self.random, self.model.living(), most=1)
        query, jobs = naive.query(terms), naive.matching(self.model.living(), terms)
        how = self.random.randrange(4)
        if how < 2:
            return query, jobs
        order, most = self.random.choice(ORDERS), self.random.randrange(4)
        by_id = {job.id: job for job in jobs}
        first = [by_id[id] for id in naive.in_order(jobs, order)[:most]]
        limited = query.order_by(order).limit(most)
        return (limited if how == 2 else limited.run()), first

    @rule()
    def clean(self):
        cleaned = statuses.clean()
        assert (cleaned.by_state, cleaned.swept) == self.model.clean()

    @rule(target=walks, order=st.sampled_from(ORDERS), size=st.integers(1, 3))
    def begin_to_walk(self, order, size):
        """A first page; the rest is turned to while others write."""
        page = statuses.all().order_by(order).limit(size).run()
        return Walk(order, size, self.places(order), page.ids(), page.next)

    @rule(walk=walks)
    def turn_the_page(self, walk):
        if walk.next is None:
            return
        page = statuses.all().order_by(walk.order).limit(walk.size).after(walk.next).run()
        walk.seen += page.ids()
        walk.next = page.next
        now = self.places(walk.order)
        stood = {id for id, place in walk.places.items() if now.get(id) == place}
        walk.places = {id: place for id, place in walk.places.items() if id in stood}
        assert all(walk.seen.count(id) <= 1 for id in stood)
        if walk.next is None:
            assert stood <= set(walk.seen)

    def places(self, order):
        """Where each job stands in an order."""
        name = order.removeprefix("-")
        return {job.id: (job.value(name), job.created) for job in self.model.living()}

    @rule(end_queued=st.booleans(), by=TEXTS)
    def request_kill_all(self, end_queued, by):
        query, jobs = self.chosen()
        done = query.request_kill_all(by=by, end_queued=end_queued)
        words = [job.request_kill(by, None, end_queued) for job in jobs]
        assert done.by_reason == {word: words.count(word) for word in set(words)}

    @rule(force=st.booleans())
    def delete_all(self, force):
        query, jobs = self.chosen()
        if not force and any(job.state not in COMPLETED for job in jobs):
            with pytest.raises(statuses.NotCompleted):
                query.delete_all()
            return
        assert query.delete_all(force=force).changed == len(jobs)
        for job in jobs:
            self.model.forget(job)

    @rule(target=tokens, seconds=st.sampled_from([1, 100_000]))
    def remove(self, seconds):
        query, jobs = self.chosen()
        ended = [job for job in jobs if job.state in ENDED]
        done = query.delete_all(only_ended=True, undo_for=timedelta(seconds=seconds))
        assert (done.changed, done.skipped, done.missing) == (len(ended), len(jobs) - len(ended), 0)
        if not ended:
            return multiple()
        self.model.remove(ended, done.undo)
        return done.undo

    @rule(token=tokens)
    def restore(self, token):
        waiting = [job for job in self.model.removed if job.removal == token]
        done = statuses.restore(token)
        assert done.changed == self.model.restore(token)
        assert done.changed + done.missing == len(waiting)

    @rule()
    def sweep(self):
        # Removals that fell on one moment have tokens a microsecond apart: the token is the moment.
        due = [job for job in self.model.removed if int(job.removal) <= self.model.now]
        assert removal.sweep() == len(due)
        for job in due:
            self.model.forget(job)

    @precondition(lambda self: len(self.known) > 3)
    @rule()
    def next_segment(self):
        here = current()
        for family, number in list(here.current.items()):
            segmentscripts.next_segment(here, family, number)

    @rule()
    def every_question_is_answered_as_by_the_model(self):
        terms = naive.random_terms(self.random, self.model.living())
        check(self.random, naive.matching(self.model.living(), terms), naive.query(terms), terms)

    def looks_right(self, id):
        """The job by its id, its attempts by theirs, and the counts."""
        found, job = statuses.find(id), self.model.jobs.get(id)
        assert (found is None) is (job is None)
        if job is not None:
            assert of(found) == job.picture()
            assert clock.to_us(found.expires_at) == job.expires_at
            assert found.kill_requested is ("kill_requested_at" in job.at)
            assert [of(prior) for prior in found.prior_attempts] == job.past()
            if job.prior:
                number = self.random.randrange(len(job.prior))
                assert of(statuses.find(f"{id}:{number}")) == job.past()[number]
        assert statuses.find(f"{id}:{len(job.prior) if job else 0}") is None
        assert statuses.all().counts() == naive.counts(self.model.living())
        assert statuses.where(id=id).count() == (job is not None)

    def everything_is_found(self):
        for id in self.known:
            self.looks_right(id)
        for status in statuses.all():
            assert of(status) == self.model.jobs[status.id].picture()
        assert statuses.check().problems == ()


def run(machine, server_url, examples, steps, phases=(Phase.explicit, Phase.reuse, Phase.generate)):
    """Shrinking what failed takes minutes: only where there is time."""
    machine.url = server_url
    limits = settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=phases,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=limits)


def test_the_service_is_what_a_naive_model_of_it_is(server_url, store):
    run(Service, server_url, examples=30, steps=40)


@pytest.mark.full
def test_the_service_is_what_a_naive_model_of_it_is_for_long(server_url, store):
    run(Service, server_url, examples=300, steps=80, phases=tuple(Phase))


@pytest.mark.full
def test_families_make_no_difference(server_url, store):
    run(type("Families", (Service,), {"families": 3}), server_url, examples=120, steps=60, phases=tuple(Phase))
