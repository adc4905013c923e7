"""From a shell one counts, lists, looks and acts with the words of the page's address."""

import io
import json
import re
import signal
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import statuses
from jobadmin.goes import Go
from jobadmin.models import Operation
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.engines import toy_engine

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

SECRET = "hunter2hunter2"


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_counts_are_told_by_state() -> None:
    for state in ("failed", "failed", "queued"):
        make_status(state)

    said = run("jobs", "counts")

    assert "2  failed" in said and "1  queued" in said and "3  in all" in said


def test_the_words_are_those_of_the_address() -> None:
    make_status("failed", job_name="planning.a", queue="bulk", job_args={"b": "Book:53"})
    make_status("failed", job_name="planning.b", queue="mail")
    make_status("succeeded", job_name="mail.send", queue="mail")

    assert run_json("jobs", "counts", "name=planning.*")["total"] == 2
    assert run_json("jobs", "counts", "name=planning.*", "queue=-mail")["total"] == 1
    assert run_json("jobs", "counts", "resource=Book:53", "span=all")["counts"]["failed"] == 1
    assert run_json("jobs", "counts", "state=failed", "state=succeeded")["total"] == 3


def test_a_list_is_bounded_and_says_how_many_match() -> None:
    for _ in range(5):
        make_status("failed", job_name="a.b", error=f"password={SECRET}")

    said = run("jobs", "list", "state=failed", "--limit", "2")
    rows = run_json("jobs", "list", "state=failed")

    assert "2 of 5 jobs" in said
    assert len(rows) == 5 and rows[0]["job_name"] == "a.b" and SECRET not in json.dumps(rows)


def test_one_job_is_shown_whole_without_its_secrets() -> None:
    status = make_status("started", error="went wrong", call={"args": [], "kwargs": {"token": SECRET, "plan": 7}})
    status.failed().requeued().started().save({"rows": 3})

    said, found = run("jobs", "show", status.id), run_json("jobs", "show", status.id)

    assert '"plan": 7' in said and "attempt 1" in said and SECRET not in said
    assert found["data"] == {"rows": 3} and len(found["prior_attempts"]) == 1
    assert run_json("jobs", "show", f"{status.id}:0")["errors"] == ["went wrong"]


def test_one_job_tells_when_it_was_last_heard_of_and_how_long_it_is_kept() -> None:
    status = make_status("started", depends_on=["before"]).heartbeat()
    status.spawn("child").queued()
    status.failed()

    said, found = run("jobs", "show", status.id), run_json("jobs", "show", status.id)

    assert found["depends_on"] == ["before"]
    assert [found[name] for name in ("ended_at", "heartbeat_at", "expires_at")] == [
        moment.isoformat() for moment in (status.ended_at, status.heartbeat_at, status.expires_at)
    ]
    assert {"ended_at", "heartbeat_at", "expires_at"} <= {line.split(" ")[0] for line in said.splitlines()}
    assert '{"queued": 1}' in said and found["children"]["queued"] == 1 and found["children"]["failed"] == 0


def test_attempts_are_numbered_as_on_the_page() -> None:
    status = make_status("failed").requeued().started().failed().requeued().started()

    present, first = (run("jobs", "show", id).splitlines() for id in (status.id, f"{status.id}:0"))

    assert [line.split() for line in present if line.startswith("attempt")] == [
        ["attempt", "3", "of", "3"], ["attempt", "1", "failed"], ["attempt", "2", "failed"],
    ]  # fmt: skip
    assert [line.split() for line in first if line.startswith("attempt")] == [["attempt", "1", "of", "3"]]


def test_a_job_that_is_not_there_is_said() -> None:
    with pytest.raises(CommandError, match="no job has the id 'nope'"):
        run("jobs", "show", "nope")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("state=broken", "expected one of"),
        ("colour=red", "Expected: one of the parameters id"),
        ("failed", "NAME=VALUE"),
        ("from=soon", "ISO 8601"),
    ],
)
def test_a_word_nobody_can_read_is_said(word: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        run("jobs", "counts", word)


def test_a_text_that_is_searched_for_in_vain_is_said_and_what_it_could_mean() -> None:
    job = make_status("failed", job_name="mail.send", job_args={"book": "Book:53"})

    found = run("jobs", "list", "q=Book:53", "span=all")
    name, begun, nothing = (run("jobs", "list", f"q={text}") for text in ("mail.send", job.id[:13], "nowhere"))

    assert "1 of 1 job," in found and "q=" not in found
    assert "0 of 0 jobs" in name and "q=mail.send: no id of a job and no resource; there is name=mail.send\n" in name
    assert f"no id of a job and no resource; there is id={job.id}\n" in begun
    assert "q=nowhere: no id of a job and no resource\n" in nothing


def test_a_word_that_has_one_value_is_not_taken_twice() -> None:
    with pytest.raises(CommandError, match="span cannot be '1h, 24h': expected one value, not 2"):
        run("jobs", "list", "span=1h", "span=24h")


def test_a_star_behind_a_resource_is_said_to_be_no_prefix() -> None:
    make_status("queued", job_args={"package": "Package:django"})

    assert "resource=Package:*: a resource is looked for by its whole text" in run("jobs", "counts", "resource=Package:*")


def test_one_job_is_killed_without_asking() -> None:
    waiting, running = make_status("queued"), make_status("started")

    said = run("jobs", "kill", f"id={waiting.id}", "--by", "olu", "--reason", "noise")
    run("jobs", "kill", f"id={running.id}", "--by", "olu")

    assert waiting.reload().is_killed and "1 job" in said
    assert running.reload().is_started and running.kill_requested_by == "olu"
    operation = Operation.objects.order_by("pk").first()
    assert (operation.username, operation.reason, operation.ids, operation.changed) == ("olu", "noise", [waiting.id], 1)


def test_many_are_not_touched_before_somebody_says_yes() -> None:
    jobs = [make_status("queued", queue="bulk") for _ in range(3)]

    with pytest.raises(CommandError, match="add --yes"):
        run("jobs", "kill", "queue=bulk")
    assert all(job.reload().is_queued for job in jobs)

    found = run_json("jobs", "kill", "queue=bulk", "--yes")
    assert (found["changed"], found["by_reason"]) == (3, {"killed": 3})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_it_is_told_how_far_it_came_and_so_is_the_record(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = statuses.server_time()
    statuses.load({"job_name": "shop.bill", "queue": "bulk", "state": "queued", "queued_at": moment} for _ in range(20_000))
    make_status("failed", queue="bulk")
    signals = iter([number])
    monkeypatch.setattr(Go, "beat", lambda self: [signal.raise_signal(one) for one in signals])

    out = io.StringIO()
    with pytest.raises(CommandError, match="not reached") as raised:
        call_command("jobs", "kill", "queue=bulk", "--yes", stdout=out, stderr=out)

    done = statuses.where(queue="bulk", state="killed").count()
    assert 0 < done < 20_000 and raised.value.returncode == 130
    assert f"{20_000 - done:,} not reached" in str(raised.value)
    assert f"Kill requested for {done:,} jobs; 1 skipped, 0 gone" in out.getvalue()
    operation = Operation.objects.get()
    assert (operation.state, operation.changed, operation.skipped) == (Operation.State.STOPPED, done, 20_001 - done)
    assert operation.by_reason == {"killed": done, "stopped": 20_000 - done}

    run("jobs", "kill", "queue=bulk", "--yes")
    assert statuses.where(queue="bulk", state="killed").count() == 20_000


def test_nothing_is_done_to_everything_by_leaving_words_out() -> None:
    status = make_status("failed")

    with pytest.raises(CommandError, match="say which jobs"):
        run("jobs", "remove", "--yes")
    assert statuses.find(status.id) is not None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["step=3"], "step cannot be '3': expected the parameter workflow beside it"),
        (["name="], "name cannot be '': expected a value"),
        (["state=queued", "name="], "name cannot be '': expected a value"),
        (["operation="], "operation cannot be '': expected a value"),
        (["by=failed_at", "span=all"], "by cannot be 'failed_at': expected no moment beside span=all"),
        (["page=2"], "There is no parameter 'page'"),
        (["utm_source=mail"], "There is no parameter 'utm_source'"),
        (["sort=-run_time"], "say which jobs"),
        (["by=queued_at"], "say which jobs"),
    ],
)
def test_a_word_that_cannot_narrow_does_nothing_to_everything(words: list[str], why: str) -> None:
    jobs = [make_status("queued", job_name="a") for _ in range(2)]

    with pytest.raises(CommandError, match=why):
        run("jobs", "kill", *words, "--yes")
    assert all(job.reload().is_queued for job in jobs)


@pytest.mark.parametrize("command", [("jobs", "counts"), ("jobs", "list"), ("jobs", "retry"), ("jobs", "remove"), ("retry_jobs",)])
def test_no_command_takes_an_empty_value(command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="queue cannot be '': expected a value: without one it would match everything"):
        run(*command, "state=failed", "queue=")


def test_a_mistyped_word_is_told_the_nearest_one() -> None:
    with pytest.raises(CommandError, match=r"There is no parameter 'sate'\. Did you mean the parameter state\?"):
        run("jobs", "counts", "sate=failed")


def test_an_id_with_a_last_moment_is_looked_for_until_then() -> None:
    job = make_status("failed")

    assert run_json("jobs", "counts", f"id={job.id}", "to=2100-01-01")["total"] == 1


def test_what_has_not_ended_is_not_removed() -> None:
    ended, running = make_status("failed", queue="q"), make_status("started", queue="q")

    found = run_json("jobs", "remove", "queue=q", "--yes")

    assert (found["changed"], found["skipped"]) == (1, 1)
    assert statuses.find(ended.id) is None and statuses.find(running.id) is not None
    assert statuses.restore(found["undo"]).changed == 1


def test_failed_jobs_are_sent_again() -> None:
    with toy_engine() as engine:
        status = make_status("failed", engine="toy")
        run("jobs", "retry", f"id={status.id}")

    assert engine.retried == [status.id]


def test_a_process_is_ended_at_once_when_that_is_said() -> None:
    with toy_engine() as engine:
        status = make_status("started", engine="toy")
        run("jobs", "kill", "--now", f"id={status.id}", "--yes")

    assert engine.killed == [status.id]


def test_cleaning_removes_what_is_due() -> None:
    with frozen_clock() as clock:
        old = make_status("succeeded", job_name="a.b")
        clock.tick(timedelta(days=31))
        new = make_status("succeeded", job_name="a.b")

        assert "1 would be removed: 1 succeeded" in run("clean_jobs", "--dry-run")
        assert "1 removed: 1 succeeded" in run("clean_jobs")

    assert statuses.find(old.id) is None and statuses.find(new.id) is not None


def test_cleaning_takes_criteria() -> None:
    with frozen_clock() as clock:
        make_status("failed", queue="a")
        make_status("failed", queue="b")
        clock.tick(timedelta(hours=2))

        assert "1 removed" in run("clean_jobs", "--older-than", "90min", "--queue", "a", "--state", "failed")


@pytest.mark.parametrize("age", ["soon", "90", "-1d", "99999999999999d"])
def test_an_age_nobody_can_read_is_said(age: str) -> None:
    with pytest.raises((CommandError, SystemExit)):
        run("clean_jobs", f"--older-than={age}")


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(CommandError, match="expected a whole number from 0, not '-3'"):
        run("jobs", "list", "--limit", "-3")


def test_nothing_that_a_job_carries_moves_the_cursor_or_turns_a_line() -> None:
    text = "\u202eevil\x1b[2J\x9b1A\rdone\u2066"
    job = make_status("started", job_name=text, error={"class": "E", "message": text, "traceback": f"Traceback\r\n{text}"}, queue=text)
    job.failed()

    said = run("jobs", "list") + run("jobs", "show", job.id) + run("jobs", "counts", f"name={text}") + run("jobs", "queues")

    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)
    assert "\u27e8U+202E\u27e9evil\\x1b[2J\\x9b1A" in said
    assert run_json("jobs", "list")[0]["job_name"] == text
