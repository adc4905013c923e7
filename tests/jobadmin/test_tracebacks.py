"""Own frames stand out, foreign ones are folded, and nothing that was recorded is lost."""

import pytest

from jobadmin.tracebacks import HEAD_LINES, TAIL_LINES, Trace
from jobadmin.tracemarkup import parts_html

LIBRARY = "/srv/venv/lib/python3.11/site-packages"
TEXT = f'''Traceback (most recent call last):
  File "{LIBRARY}/celery/app/trace.py", line 477, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "{LIBRARY}/django/db/transaction.py", line 7, in inner
    return func()
  File "/srv/planning/tasks.py", line 118, in recalculate
    plan.rebuild(chapters=chapters)
    ~~~~~~~~~~~~^^^^^^^^^^^^^^^^^^^
  File "/srv/planning/models.py", line 402, in rebuild
    Slot.objects.update(1)
  File "{LIBRARY}/django/db/models/query.py", line 1, in update
    compiler()
  [Previous line repeated 996 more times]
  File "/usr/lib/python3.11/json/decoder.py", line 5, in decode
django.db.utils.OperationalError: deadlock detected
DETAIL:  Process 4182 waits
'''


def of(text: str, **more: object) -> Trace:
    return Trace.of({"class": "django.db.utils.OperationalError", "message": "deadlock detected\nDETAIL", "traceback": text, **more})


def test_runs_of_foreign_frames_are_folded_and_say_whose_they_are() -> None:
    folds = [part for part in of(TEXT).parts if part.kind == "fold"]

    assert [(len(fold.frames), fold.packages) for fold in folds] == [(2, "celery and django"), (2, "django and python")]


def test_own_frames_stay_open_with_their_code() -> None:
    frames = [part.frame for part in of(TEXT).parts if part.kind == "frame"]

    assert [(frame.file, frame.line, frame.function, frame.code) for frame in frames] == [
        ("/srv/planning/tasks.py", 118, "recalculate", ("plan.rebuild(chapters=chapters)",)),
        ("/srv/planning/models.py", 402, "rebuild", ("Slot.objects.update(1)",)),
    ]


def test_the_error_line_and_what_follows_it_are_told_apart() -> None:
    parts = of(TEXT).parts

    assert [part.lines for part in parts if part.kind == "error"] == [("django.db.utils.OperationalError: deadlock detected",)]
    assert parts[-1].lines == ("DETAIL:  Process 4182 waits",)


def test_the_summary_is_the_short_class_and_the_first_line() -> None:
    trace = of(TEXT, at="2026-11-19T14:31:09+00:00", attempt=1)

    assert (trace.kind, trace.message, trace.attempt) == ("OperationalError", "deadlock detected", 1)
    assert trace.at.isoformat() == "2026-11-19T14:31:09+00:00"


def test_a_message_that_is_the_class_once_more_is_left_out() -> None:
    error = {"class": "billiard.exceptions.SoftTimeLimitExceeded", "message": "SoftTimeLimitExceeded()"}

    trace = Trace.of(error)

    assert (trace.kind, trace.message) == ("SoftTimeLimitExceeded", "")
    assert trace.raw == "billiard.exceptions.SoftTimeLimitExceeded: SoftTimeLimitExceeded()"


def test_what_the_recorder_knew_to_be_own_wins_over_the_path() -> None:
    frames = [{"file": f"{LIBRARY}/celery/app/trace.py", "line": 477, "function": "trace_task", "own": True}]

    parts = of(TEXT, frames=frames).parts

    assert parts[1].kind == "frame" and parts[1].frame.file == "celery/app/trace.py"


def test_with_no_own_frame_the_last_two_stay_open() -> None:
    frames = "".join(f'  File "{LIBRARY}/a/b{n}.py", line {n}, in f\n    g()\n' for n in range(5))
    text = f"Traceback (most recent call last):\n{frames}E: x"

    kinds = [part.kind for part in of(text).parts]

    assert kinds == ["note", "fold", "frame", "frame", "error"]


def test_chained_errors_are_shown_in_order() -> None:
    second = "Traceback (most recent call last):\n  File \"/srv/a.py\", line 1, in <module>\n    raise X\nKeyError: 'a'\n"
    text = f"{TEXT}\nDuring handling of the above exception, another exception occurred:\n\n{second}"

    errors = [part.lines[0] for part in of(text).parts if part.kind == "error"]

    assert errors == ["django.db.utils.OperationalError: deadlock detected", "KeyError: 'a'"]


def test_a_frame_that_a_signal_left_without_a_line_is_no_error_line() -> None:
    """As a time limit leaves it, since Python 3.11."""
    text = f'''Traceback (most recent call last):
  File "/srv/planning/tasks.py", line 80, in find_similar
    matcher.quick_ratio()
  File "/usr/lib/python3.11/difflib.py", line None, in quick_ratio
  File "{LIBRARY}/billiard/pool.py", line 229, in soft_timeout_sighandler
    raise SoftTimeLimitExceeded()
billiard.exceptions.SoftTimeLimitExceeded: SoftTimeLimitExceeded()
'''

    parts = of(text).parts

    assert [part.kind for part in parts] == ["note", "frame", "fold", "error"]
    assert [(frame.file, frame.line) for frame in parts[2].frames] == [("difflib.py", None), ("billiard/pool.py", 229)]
    assert 'File "difflib.py", in quick_ratio' in parts_html(parts)
    known = {"file": "/usr/lib/python3.11/difflib.py", "line": None, "own": True}
    assert [part.kind for part in of(text, frames=[known]).parts] == ["note", "frame", "frame", "fold", "error"]


def test_no_line_is_lost() -> None:
    shown = [frame.code for part in of(TEXT).parts for frame in part.frames]

    assert ("compiler()", "[Previous line repeated 996 more times]") in shown
    assert of(TEXT).raw == TEXT.rstrip("\n")


def test_a_huge_traceback_keeps_its_beginning_and_its_end() -> None:
    text = "Traceback (most recent call last):\n" + "\n".join(f"line {n}" for n in range(5000)) + "\nValueError: the end"

    shown = [line for part in of(text).parts for line in part.lines]

    assert len(shown) == HEAD_LINES + TAIL_LINES + 1
    assert shown[-1] == "ValueError: the end" and any("lines left out" in line for line in shown)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("swf status 5", "", "swf status 5"), ({"code": "E42", "detail": {"a": 1}}, "E42", '{"code": "E42", "detail": {"a": 1}}'),
        ({"type": "pkg.Oops", "message": "no"}, "Oops", "no"), (None, "", "null"), (3, "", "3"), ([1], "", "[1]"), ("", "", ""),
        ({"class": "A", "message": ""}, "A", ""), ({"class": None, "traceback": None}, "", '{"class": null, "traceback": null}'),
        ({"class": ["x"], "traceback": 5, "frames": "?", "at": 7, "attempt": "?"}, "['x']", ""),
    ],
)  # fmt: skip
def test_any_json_value_can_be_an_error(error: object, kind: str, message: str) -> None:
    trace = Trace.of(error, attempt=2)

    assert (trace.kind, trace.message) == (kind, message)
    assert trace.attempt == 2


@pytest.mark.parametrize(
    "error",
    [
        {"class": "Refused", "message": "no", "url": "/books/53"},
        {"class": "Refused", "detail": {"url": "/books/53"}},
        {"class": "Refused", "message": "no", "traceback": TEXT, "frames": [], "url": "/books/53"},
    ],
)
def test_what_an_error_with_a_class_holds_besides_is_shown(error: dict[str, object]) -> None:
    trace = Trace.of(error)

    assert trace.kind == "Refused"
    assert '"url": "/books/53"' in trace.raw
    assert any('"url": "/books/53"' in line for part in trace.parts for line in part.lines)
