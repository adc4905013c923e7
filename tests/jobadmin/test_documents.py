"""Commands and links that stand in the documents are there."""

import inspect
import json
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from jobadmin import joblog
from jobadmin.resolver import Resolver

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: A command on a line of its own, or in code marks.
CALLS = sorted(
    {
        (path.name, call.strip())
        for path in DOCS
        for line in path.read_text().splitlines()
        for call in [
            *re.findall(r"`(?:python3? )?manage\.py ([^`]+)`", line),
            *re.findall(r"^(?: {4}|ExecStart=)\S*(?:python3? \S*)?manage\.py ([^#]+)", line),
        ]
    }
)
#: Words that stand for a value of the reader's.
PLACES = {"FILE": "jobs.jsonl", "N": "3"}
#: Arguments of pytest, and a command of another package's.
OTHERS = {"test", "db_worker"}


def test_there_are_commands_in_the_documents():
    assert {"README.md", "production.md", "retention.md"} <= {name for name, _ in CALLS}


@pytest.mark.parametrize(("document", "call"), CALLS, ids=[f"{name}: {call}" for name, call in CALLS])
def test_a_command_of_a_document_takes_what_is_written_there(document, call):
    name, *arguments = [PLACES.get(word, word) for word in shlex.split(call) if word != "..."]
    if name in OTHERS:
        return
    command = load_command_class({**get_commands(), "demo": "jobadmin.demo"}[name], name)

    command.create_parser("manage.py", name).parse_args(arguments or required(name))


def required(name: str) -> list[str]:
    """What a command that is only named asks for."""
    return {"load_jobs": ["jobs.jsonl"], "retry_jobs": ["name=mail.*"], "jobs": ["counts"]}.get(name, [])


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        assert other.exists(), target
        if heading:
            headings = {slug(title) for title in re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)}
            assert heading in headings, target


def slug(title: str) -> str:
    """How the address of a heading is made."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def test_every_method_of_the_resolver_is_documented_with_what_it_takes():
    said = (ROOT / "docs" / "settings.md").read_text()
    for name, found in vars(Resolver).items():
        if name.startswith("_"):
            continue
        if callable(found):
            taken = [str(one).split(":")[0] for one in inspect.signature(found).parameters.values()][1:]
            defaults = ["=None" if one.default is None else "" for one in inspect.signature(found).parameters.values()][1:]
            assert f"`{name}({', '.join(map(str.__add__, taken, defaults))}) -> " in said
        elif isinstance(found, property):
            assert f"`{name}` (true where" in said
        else:
            shown = f"{found:,}" if isinstance(found, int) else f'`"{found}"`'
            assert f"`{name}` ({shown})" in said


def test_the_job_log_of_the_front_page_can_be_loaded():
    (line,) = re.findall(r"^ {4}(\{\"source_id.*\})$", (ROOT / "README.md").read_text(), re.M)

    found = joblog.as_status(json.loads(line))

    assert (str(found["state"]), found["job_args"]) == ("failed", {"Book": "Book:53"})
