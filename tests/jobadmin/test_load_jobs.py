"""Job logs come in whole, once, and a line that cannot be read is named."""

import gzip
import io
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

import statuses
from jobadmin.joblog import BadLine, as_status, jobs
from jobadmin.management.commands import load_jobs
from jobadmin.models import Operation

from .test_records import NO_OUTCOME, NO_RECORD, refusing

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

#: Microseconds since 1970: 2012-02-03 00:12:41 UTC.
SUBMITTED = 1_328_227_961_000_000


def line(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One job as the logs write it."""
    job = {
        "source_id": f"curie-{number}", "job_name": "group-95", "queue": "large", "user": "user-87", "submitted_at": SUBMITTED,
        "started_at": SUBMITTED + 2_000_000, "finished_at": SUBMITTED + 5_500_000, "state": "succeeded",
        "resources": ["Partition:large", "Group:95"], "exit": None, "parents": [],
    }  # fmt: skip
    return {**job, **changes}


def write(path: Path, *lines: dict[str, Any] | str) -> str:
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def load(*arguments: str) -> str:
    out = io.StringIO()
    call_command("load_jobs", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.gz"])
def test_a_log_is_loaded_with_its_own_past(tmp_path: Path, name: str) -> None:
    said = load(write(tmp_path / name, line(1), line(2, state="failed", exit="swf status 0")))

    job = statuses.find_by(provider_job_id="curie-1")
    assert "2 jobs loaded" in said and "a second" in said
    assert (str(job.state), job.job_name, job.queue, job.user) == ("succeeded", "group-95", "large", "user-87")
    assert job.recorded_at == job.queued_at and job.recorded_at.isoformat() == "2012-02-03T00:12:41+00:00"
    assert (job.wait_time, job.run_time) == (2.0, 3.5)
    assert job.job_args == {"Partition": "Partition:large", "Group": "Group:95"}


def test_the_exit_becomes_the_one_error(tmp_path: Path) -> None:
    load(write(tmp_path / "log", line(state="failed", exit="FAILED 1:0")))

    job = statuses.find_by(provider_job_id="curie-1")
    assert job.errors == ["FAILED 1:0"] and job.failed_at == job.ended_at


def test_a_job_killed_before_it_started_has_no_start(tmp_path: Path) -> None:
    load(write(tmp_path / "log", line(state="killed", started_at=None)))

    job = statuses.find_by(provider_job_id="curie-1")
    assert job.is_killed and job.started_at is None and job.wait_time is None and job.killed_at is not None


def test_running_becomes_started(tmp_path: Path) -> None:
    load(write(tmp_path / "log", line(state="running", finished_at=None)))

    assert statuses.find_by(provider_job_id="curie-1").is_started


def test_parents_become_what_it_depends_on(tmp_path: Path) -> None:
    load(write(tmp_path / "log", line(1), line(2, parents=["curie-1", "curie-0"])))

    assert statuses.find_by(provider_job_id="curie-2").depends_on == ["curie-1", "curie-0"]


def test_several_resources_of_a_type_become_a_list() -> None:
    assert as_status(line(resources=["Node:a", "Node:b", "Account:x:y", "Node:c"]))["job_args"] == {
        "Node": ["Node:a", "Node:b", "Node:c"], "Account": "Account:x:y",
    }  # fmt: skip


def test_a_log_comes_from_standard_input_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(write(tmp_path / "log.gz", line(1), line(2)))
    stdin = io.TextIOWrapper(path.open("rb"))
    monkeypatch.setattr("sys.stdin", stdin)

    assert "2 jobs loaded" in load("-")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{broken", "no JSON"), ("[]", "expected an object"), (line(state="exploded"), "state must be one of"),
        ({"state": "failed"}, "submitted_at is missing"), (line(submitted_at="now"), "submitted_at must be integer microseconds"),
        (line(source_id=7), "source_id must be a text"), (line(started_at="soon"), "started_at must be"),
        (line(finished_at=-5), "must lie between"), (line(job_name=["x"]), "job_name"), (line(resources="Book:53"), "resources must be"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_nothing_is_half_loaded(tmp_path: Path, bad: Any, why: str) -> None:
    with pytest.raises(CommandError) as error:
        load(write(tmp_path / "log", line(1), "", bad, line(4)))

    assert "Line 3: " in str(error.value) and why in str(error.value)
    assert "Nothing was loaded." in str(error.value) and statuses.all().count() == 0


def test_one_goes_on_where_a_bad_line_stopped_it(tmp_path: Path) -> None:
    lines = [line(number) for number in range(1, 1202)]
    lines[1199] = "{broken"
    with pytest.raises(CommandError) as error:
        load(write(tmp_path / "log", *lines))
    assert "Line 1200" in str(error.value) and "--again --from-line 1001" in str(error.value)
    assert statuses.all().count() == 1000

    lines[1199] = line(1200)
    load(write(tmp_path / "log", *lines), "--again", "--from-line", "1001")

    assert statuses.all().count() == 1201
    assert len({job.provider_job_id for job in statuses.all()}) == 1201


def test_bad_lines_can_be_left_out(tmp_path: Path) -> None:
    lines: list[Any] = [line(number) for number in range(1, 1301)]
    lines[3], lines[700], lines[701], lines[1299] = "{broken", line(701, started_at=-7), line(702, finished_at="x"), "nope"

    said = load(write(tmp_path / "log", *lines), "--skip-bad")

    assert "1,296 jobs loaded" in said and "4 bad lines left out" in said
    for number in (4, 701, 702, 1300):
        assert f"line {number}: " in said
    assert len({job.provider_job_id for job in statuses.all()}) == statuses.all().count() == 1296


def test_a_second_load_is_refused_and_says_how_it_is_done(tmp_path: Path) -> None:
    path = write(tmp_path / "log", line(1), line(2))
    load(path)

    with pytest.raises(CommandError, match="was loaded before: 2 of its first 2 jobs are there"):
        load(path)
    assert statuses.all().count() == 2

    load(path, "--again")
    assert statuses.all().count() == 4


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        load(str(tmp_path / "nowhere"))


def test_a_file_that_breaks_off_is_said(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "log.gz", *(line(number, user=f"{number * 7919}") for number in range(3000))))
    path.write_bytes(path.read_bytes()[:-5000])

    with pytest.raises(CommandError, match="Compressed file ended"):
        load(str(path))


def test_an_empty_file_loads_nothing(tmp_path: Path) -> None:
    assert "0 jobs loaded" in load(write(tmp_path / "log"))


def test_some_of_a_log_can_be_loaded(tmp_path: Path) -> None:
    load(write(tmp_path / "log", *(line(number) for number in range(10))), "--limit", "4")

    assert statuses.all().count() == 4


def test_lines_are_read_as_they_come() -> None:
    read = list(jobs([b"\n", json.dumps(line(1)).encode(), b"\xff\xfe", b"nope"]))

    assert [number for number, _ in read] == [2, 3, 4]
    assert isinstance(read[1][1], BadLine) and isinstance(read[2][1], BadLine)


@pytest.mark.full
@pytest.mark.alone
def test_a_second_takes_twenty_thousand_jobs(tmp_path: Path) -> None:
    lines = (line(number, user=f"user-{number % 300}", job_name=f"group-{number % 90}") for number in range(60_000))
    path = write(tmp_path / "log.gz", *lines)
    began = time.monotonic()

    load(path)

    assert 60_000 / (time.monotonic() - began) >= 20_000


# On record


def test_what_is_loaded_is_on_record_before_and_with_what_came_of_it(tmp_path: Path, browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = statuses.loading._send

    def look(*arguments: Any) -> None:
        seen.append(statuses.all().count())
        whole(*arguments)

    begun: list[tuple[int, int]] = []
    begin = load_jobs.begin

    def beginning(*arguments: Any, **fields: Any) -> Any:
        begun.append((fields["announced"], statuses.all().count()))
        return begin(*arguments, **fields)

    monkeypatch.setattr(load_jobs, "begin", beginning)
    monkeypatch.setattr(statuses.loading, "_send", look)
    file = write(tmp_path / "log", *(line(number) for number in range(1, 1_201)))

    load(file, "--by", "olu", "--reason", "from the old system")

    found = Operation.objects.get()
    assert begun == [(500, 0)] and seen == [0, 500, 1_000]
    assert (found.action, found.username, found.reason, found.state) == ("load", "olu", "from the old system", "done")
    assert (found.announced, found.changed, found.by_reason, found.description) == (1_200, 1_200, {"loaded": 1_200}, file)
    text = browse().get(reverse("jobadmin:operation", args=[found.pk])).content.decode()
    assert "1,200 jobs loaded" in text and "from the old system" in text and "Show the" not in text


def test_lines_that_were_left_out_are_on_record(tmp_path: Path) -> None:
    load(write(tmp_path / "log", line(1), "no JSON", line(2), line(3, state="asleep")), "--skip-bad")

    found = Operation.objects.get()
    assert (found.announced, found.changed, found.skipped) == (4, 2, 2) and found.by_reason == {"loaded": 2, "unreadable": 2}


@pytest.mark.parametrize("bad", ["no JSON", line(701, job_name="x" * 100_000)], ids=["a line", "a job"])
def test_a_bad_line_ends_it_on_record_with_what_is_loaded(tmp_path: Path, bad: Any) -> None:
    file = write(tmp_path / "log", *(line(number) for number in range(1, 701)), bad)

    with pytest.raises(CommandError, match="500 jobs from the lines before were loaded"):
        load(file)

    found = Operation.objects.get()
    assert (found.state, found.changed) == ("failed", 500) and "line 701" in found.error
    assert found.changed + found.skipped == found.announced


def test_a_file_that_breaks_off_is_on_record_with_what_is_loaded(tmp_path: Path) -> None:
    file = write(tmp_path / "log.gz", *(line(number) for number in range(1, 12_000)))
    whole = Path(file).read_bytes()
    Path(file).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(CommandError):
        load(file)

    found = Operation.objects.get()
    assert found.state == "failed" and found.changed == statuses.all().count() > 0


def test_a_log_that_holds_nothing_or_was_loaded_before_leaves_no_record(tmp_path: Path) -> None:
    load(write(tmp_path / "empty"))
    file = write(tmp_path / "log", line(1))
    load(file)

    with pytest.raises(CommandError, match="was loaded before"):
        load(file)

    assert Operation.objects.count() == 1


def test_nothing_is_loaded_without_a_record_unless_that_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "log", line(1))

    with refusing(NO_RECORD):
        with pytest.raises(CommandError, match="--unrecorded does it without"):
            load(file)
        assert not statuses.all().exists()

        said = load(file, "--unrecorded")

    assert "Not written to the audit trail" in said and "1 job loaded" in said


def test_a_database_that_goes_away_on_the_way_does_not_stop_it(tmp_path: Path) -> None:
    with refusing(NO_OUTCOME):
        said = load(write(tmp_path / "log", *(line(number) for number in range(1, 601))))

    assert "600 jobs loaded" in said and "does not know what came of it" in said
    assert Operation.objects.get().state == "unknown"


def test_a_store_that_breaks_off_on_the_way_leaves_it_open_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> None:
        raise statuses.StoreUnavailable("a load", "it is away")

    monkeypatch.setattr(statuses.loading, "_send", breaks)

    with pytest.raises(CommandError, match="it is away"):
        load(write(tmp_path / "log", line(1)))

    assert Operation.objects.get().by_reason == {"unsure": 1}


def test_who_interrupts_it_is_told_where_to_go_on_and_so_is_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log.jsonl", *(line(number) for number in range(2_000)))
    signals = iter([signal.SIGINT])
    monkeypatch.setattr(load_jobs.Bar, "show", lambda *_: [signal.raise_signal(one) for one in signals])

    with pytest.raises(CommandError, match="Stopped behind line") as raised:
        load(log)

    loaded = statuses.all().count()
    assert 0 < loaded < 2_000 and raised.value.returncode == 130
    operation = Operation.objects.get()
    assert (operation.state, operation.announced, operation.changed) == (Operation.State.STOPPED, loaded, loaded)
    load(log, *str(raised.value).partition("Go on with ")[2].rstrip(".").split())
    assert statuses.all().count() == 2_000
    assert all(statuses.where(provider_job_id=f"curie-{number}").count() == 1 for number in range(0, 2_000, 100))
