"""A project's rule for each job: what operations on many jobs do to it, on the pages and by the API, and what it does not hide."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.test import Client, override_settings
from django.urls import reverse

import statuses
from jobadmin import audit, runner
from jobadmin.models import Operation
from jobadmin.paths import action_url
from jobadmin.resolver import Resolver
from jobadmin.verbs import KILL, REMOVE, RETRY
from statuses.testing import make_status

from .engines import Toy, toy_engine
from .test_bulk import ALL, confirm
from .test_operations import ran, small_batches

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

API = "/admin/jobs/api/"


class OnlyOfAnn(Resolver):
    """A project where people may look at the jobs of Ann alone, and do nothing to others."""

    asked: ClassVar[list[str]] = []

    def may(self, user: Any, right: str, status: Any = None) -> bool:
        if status is not None:
            self.asked.append(status.id)
        return super().may(user, right, status) and (status is None or status.user == "ann")


class OnlyOfGroups(OnlyOfAnn):
    """Says that it never looks at the job."""

    asks_each_job = False


class SeesOnlyOfAnn(Resolver):
    """Says what may be looked at, and nothing of what may be done."""

    def may(self, user: Any, right: str, status: Any = None) -> bool:
        return super().may(user, right, status) and (right != "view_job" or status is None or status.user == "ann")


def under(resolver: type[Resolver]) -> Any:
    return override_settings(JOBADMIN={"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": resolver})


@pytest.fixture(autouse=True)
def rule() -> Iterator[None]:
    OnlyOfAnn.asked.clear()
    with under(OnlyOfAnn):
        yield


@pytest.fixture
def toy() -> Iterator[Toy]:
    with toy_engine() as engine:
        yield engine


def failed(**of: int) -> dict[str, list[statuses.Status]]:
    """So many jobs of each, in turns."""
    made: dict[str, list[statuses.Status]] = {user: [] for user in of}
    for number in range(max(of.values())):
        for user in of:
            if number < of[user]:
                made[user].append(make_status("failed", user=user, engine="toy"))
    return made


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path if path.startswith("/") else API + path, json.dumps(body), content_type="application/json")


def test_by_filter_only_jobs_that_the_rule_allows_are_touched(browse: Any, toy: Toy) -> None:
    jobs = failed(ann=2, bob=3)

    operation = ran(browse(), "retry", "span=all&state=failed")

    assert sorted(toy.retried) == sorted(job.id for job in jobs["ann"])
    assert (operation.state, operation.announced, operation.done) == ("done", 5, 5)
    assert (operation.changed, operation.skipped, operation.by_reason) == (2, 3, {"retried": 2, "forbidden": 3})
    assert all(job.reload().is_failed for job in jobs["bob"])


def test_by_filter_of_somebody_elses_jobs_none_is_touched_through_the_api(browse: Any, toy: Toy) -> None:
    jobs, client = failed(ann=1, bob=4), browse()
    promise = client.get(API + "retry/?state=failed&user=bob&span=all").json()["promise"]

    begun = post(client, "retry/", {"promise": promise}).json()
    runner.run_pending()
    found = client.get(begun["url"]).json()

    assert toy.retried == [] and all(job.reload().is_failed for job in jobs["bob"])
    assert (found["state"], found["changed"], found["skipped"], found["by_reason"]) == ("done", 0, 4, {"forbidden": 4})


def test_by_ids_only_jobs_that_the_rule_allows_are_touched_through_the_api(browse: Any) -> None:
    jobs, client = failed(ann=1, bob=1), browse()
    query = "&".join(f"id={job.id}" for [job] in jobs.values())

    begun = post(client, f"remove/?span=all&{query}", {"count": 2}).json()
    runner.run_pending()

    assert client.get(begun["url"]).json()["by_reason"] == {"removed": 1, "forbidden": 1}
    assert statuses.find(jobs["ann"][0].id) is None and statuses.find(jobs["bob"][0].id).is_failed


@pytest.mark.parametrize("resolver", [OnlyOfAnn, OnlyOfGroups])
def test_by_ids_each_is_asked_about_on_the_pages_whatever_the_project_says(browse: Any, resolver: type[Resolver]) -> None:
    [theirs] = failed(bob=1)["bob"]

    with under(resolver):
        operation = ran(browse(), "remove", f"span=all&id={theirs.id}", typed="1")

    assert operation.by_reason == {"forbidden": 1} and statuses.find(theirs.id).is_failed


@pytest.mark.parametrize("action", ["kill", "kill-now"])
def test_what_waits_and_what_runs_is_killed_only_where_it_is_allowed(browse: Any, toy: Toy, action: str) -> None:
    ours = [make_status(state, user="ann", engine="toy") for state in ("queued", "started")]
    theirs = [make_status(state, user="bob", engine="toy") for state in ("queued", "started")]

    operation = ran(browse(), action, typed="4")

    assert operation.by_reason == {"killed": 1, "requested": 1, "forbidden": 2}
    assert all(job.reload().is_killed or job.kill_requested for job in ours)
    assert not any(job.reload().is_killed or job.kill_requested for job in theirs)


def test_what_is_refused_is_passed_over_once_however_the_batches_fall(browse: Any, toy: Toy, monkeypatch: Any) -> None:
    small_batches(monkeypatch, RETRY, 3)
    jobs = failed(bob=5, ann=4, eve=3)

    operation = ran(browse(), "retry", "span=all&state=failed")

    assert operation.by_reason == {"retried": 4, "forbidden": 8} and operation.done == 12
    assert sorted(toy.retried) == sorted(job.id for job in jobs["ann"])
    assert len(OnlyOfAnn.asked) == 4 * 2 + 8  # the right to look, and where that is given the other


def test_jobs_that_vanish_between_two_batches_hide_no_other(browse: Any, toy: Toy, monkeypatch: Any) -> None:
    small_batches(monkeypatch, RETRY, 2)
    jobs = failed(bob=4, ann=4)
    confirm(browse(), "retry", "span=all&state=failed")
    work = runner.Work(*runner.take())
    ask, gone = work._sorted_out, iter([jobs["bob"][0], jobs["bob"][1]])

    def ask_while_others_go(chosen: Any) -> Any:
        for job in gone:
            job.delete()
        return ask(chosen)

    monkeypatch.setattr(work, "_sorted_out", ask_while_others_go)
    work.run()

    operation = Operation.objects.get()
    assert sorted(toy.retried) == sorted(job.id for job in jobs["ann"])
    assert operation.by_reason["retried"] == 4 and sum(operation.by_reason.values()) == 8


def test_who_takes_over_from_a_process_that_died_asks_again(browse: Any, monkeypatch: Any) -> None:
    small_batches(monkeypatch, KILL)
    for number in range(6):
        make_status("queued", user="bob" if number % 2 else "ann")
    confirm(browse(), "kill")
    work = runner.Work(*runner.take())
    work._take_over()
    work._batch("0", work._parts()[0], 2)
    assert Operation.objects.get().by_reason == {"killed": 1, "forbidden": 1}
    Operation.objects.update(heartbeat_at=None, state="waiting")

    runner.run_pending()

    assert Operation.objects.get().by_reason == {"killed": 3, "forbidden": 3}
    assert statuses.where(user="bob", state="queued").count() == 3


def test_to_stop_it_while_it_asks_touches_nothing_more(browse: Any, monkeypatch: Any) -> None:
    for _ in range(3):
        make_status("queued", user="ann")
    client = browse()
    confirm(client, "kill")
    work = runner.Work(*runner.take())
    monkeypatch.setattr(runner.Lease, "is_due", True)
    monkeypatch.setattr(OnlyOfAnn, "may", lambda self, *about: bool(Operation.objects.update(state="stopping")))

    work.run()

    assert Operation.objects.get().by_reason == {"stopped": 3}
    assert statuses.where(state="queued").count() == 3


def test_what_may_not_be_looked_at_is_not_acted_on_either(browse: Any, toy: Toy) -> None:
    [theirs] = failed(bob=1)["bob"]
    client = browse()

    with under(SeesOnlyOfAnn):
        one = client.post(action_url(theirs.id, "retry"))
        many = ran(client, "retry", "span=all")

    assert one.status_code == 403 and many.by_reason == {"forbidden": 1}
    assert toy.retried == []


def test_an_account_that_is_gone_or_shut_may_do_nothing_any_more(browse: Any, django_user_model: Any) -> None:
    for change in (lambda user: user.delete(), lambda user: django_user_model.objects.filter(pk=user.pk).update(is_active=False)):
        job = make_status("queued", user="ann")
        confirm(browse(name=f"somebody {job.id}"), "kill", f"span=all&id={job.id}")
        change(django_user_model.objects.latest("pk"))

        runner.run_pending()

        assert Operation.objects.latest("pk").by_reason == {"forbidden": 1} and job.reload().is_queued


def test_a_project_that_never_looks_at_the_job_has_none_loaded(browse: Any, toy: Toy) -> None:
    failed(ann=1, bob=1)

    with under(OnlyOfGroups):
        operation = ran(browse(), "retry", ALL)
    plain = Resolver()

    assert operation.by_reason == {"retried": 2} and OnlyOfAnn.asked == []
    assert (plain.asks_each_job, OnlyOfAnn().asks_each_job, OnlyOfGroups().asks_each_job) == (False, True, False)


def test_the_pages_say_how_many_were_refused_and_beforehand_that_they_will_be(browse: Any, toy: Toy) -> None:
    failed(ann=1, bob=12)
    client = browse()
    beforehand = "Those of them that you may not do this to are skipped, and counted."

    question = client.get(reverse("jobadmin:bulk", args=["retry"]) + "?span=all").content.decode()
    operation = ran(client, "retry")
    result = client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()

    assert beforehand in question
    assert "<b>12</b><span>Skipped: not allowed <small>marta may not do this to them</small>" in result
    with under(OnlyOfGroups):
        assert beforehand not in client.get(reverse("jobadmin:bulk", args=["retry"]) + "?span=all").content.decode()


def test_the_trail_of_a_job_does_not_say_that_it_was_changed_by_who_might_not(browse: Any, toy: Toy) -> None:
    jobs = failed(ann=1, bob=1)
    ours, theirs = jobs["ann"][0], jobs["bob"][0]

    ran(browse(), "retry", f"span=all&id={ours.id}&id={theirs.id}")

    def told(job: statuses.Status) -> tuple[str, str]:
        entry = next(one for one in audit.trail(job, [job], audit.operations_on(job.id, [job])) if one.operation)
        return entry.text, entry.detail

    assert told(ours.reload()) == ("retried the job", "from 127.0.0.1, with 1 other job")
    assert told(theirs.reload()) == ("wanted to retry the job", "from 127.0.0.1, it was not allowed")


def test_a_removal_is_taken_back_by_who_removed_and_by_nobody_else(browse: Any, monkeypatch: Any) -> None:
    small_batches(monkeypatch, REMOVE)
    jobs = failed(ann=3, bob=1)
    marta, ines = browse(), browse(name="ines")
    operation = ran(marta, "remove", typed="4")
    page, call = reverse("jobadmin:operation", args=[operation.pk]), reverse("jobadmin:api_operation", args=[operation.pk])

    refused = ines.post(page + "undo/"), post(ines, call + "undo/", {})

    assert [answer.status_code for answer in refused] == [403, 403]
    assert "Only the one who removed these jobs can take that back" in refused[0].content.decode()
    assert refused[1].json()["error"]["code"] == "forbidden"
    assert not ines.get(call).json()["can_undo"] and marta.get(call).json()["can_undo"]
    assert f"{page}undo/" not in ines.get(page).content.decode() and f"{page}undo/" in marta.get(page).content.decode()
    assert "Undo until" not in ines.get(reverse("jobadmin:operations")).content.decode()
    runner.run_pending()
    assert statuses.all().count() == 1

    assert post(marta, call + "undo/", {}).status_code == 202
    runner.run_pending()

    assert statuses.all().count() == 4 and all(job.reload().is_failed for job in jobs["ann"])


def test_where_no_job_is_asked_about_anybody_with_the_right_takes_a_removal_back(browse: Any) -> None:
    failed(ann=1)
    with under(OnlyOfGroups):
        operation = ran(browse(), "remove", typed="1")
        answer = browse(name="ines").post(reverse("jobadmin:operation_undo", args=[operation.pk]))

    assert answer.status_code == 302 and Operation.objects.latest("pk").action == "restore"


def test_lists_counts_and_exports_show_every_job_as_the_documents_say(browse: Any) -> None:
    failed(ann=1, bob=2)
    client = browse()

    assert client.get(API + "jobs/?span=all").json()["total"] == client.get(API + "counts/?span=all").json()["total"] == 3
    export = b"".join(client.get(reverse("jobadmin:export_csv") + "?span=all").streaming_content).decode()
    assert export.count("bob") == 2
