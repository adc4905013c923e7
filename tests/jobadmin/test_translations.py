"""The dashboard in German: every marked string translated, placeholders kept, and nothing English left in the frame of a page."""

import gettext
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jobadmin import formats
from jobadmin.demo import messages
from jobadmin.models import Operation, SavedView
from jobadmin.paths import job_url, workflow_url
from statuses.testing import make_status

LANGUAGES = sorted(folder.name for folder in messages.LOCALE.iterdir() if folder.is_dir())
PLACEHOLDER = re.compile(r"%%|%\(\w+\)[sd]|%[sd]|<[^>]+>")
#: What is the same in both languages: units, figures, names of things, and what the jobs of the test carry.
SAME = re.compile(
    r"(?:job|jobs|live|worker|engines?|server|name|id|utc|min|max|avg|p50|p95|csv|json|ms|µs|s|h|d|kb|mb|b|traceback|redis|django|toy|alt|esc|enter|pid|a|in"
    r"|15m|1h|24h|7d|30d|file|line|module|book|admin|administration|status|export)"
)
DATA = re.compile(
    r"mail\.\S*|planning\.\S*|marta\S*|no route|Book:\S*|\b(?:send|nightly|mail|planning|ValueError)\b|default\b|worker-\d+|01\S{20,}|sendet|\d[\d:.,]*\S*|What failed|state=failed\S*|recalculate\S*|unix:\S*|maxmemory-policy|noeviction"
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """Every marked string of the sources as (context, text, plural)."""
    if not messages.has_gettext():
        pytest.fail("no gettext") if os.environ.get("CI") == "true" else pytest.skip("no gettext: apt install gettext")
    return sorted(entry[:3] for entry in entries(messages.extract(tmp_path_factory.mktemp("messages"))))


def entries(catalogue: Path) -> Iterator[tuple[str, str, str, list[str], bool]]:
    """(context, text, plural, translations, whether it is marked as uncertain) of a .po file."""
    for block in catalogue.read_text().split("\n\n"):
        found: dict[str, str] = {}
        present = ""
        for line in block.splitlines():
            if start := re.match(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?) "(.*)"$', line):
                present = start[1]
                found[present] = start[2]
            elif more := re.match(r'"(.*)"$', line):
                found[present] += more[1]
        if found.get("msgid"):
            translations = [text for key, text in found.items() if key.startswith("msgstr")]
            is_uncertain = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
            yield found.get("msgctxt", ""), found["msgid"], found.get("msgid_plural", ""), translations, is_uncertain


def committed(language: str) -> Path:
    return messages.LOCALE / language / messages.CATALOGUE


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_marked_string_is_in_the_catalogue_and_nothing_else(language: str, fresh: list[tuple[str, str, str]]) -> None:
    assert sorted(entry[:3] for entry in entries(committed(language))) == fresh


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_is_translated_with_the_same_placeholders(language: str) -> None:
    for context, text, plural, translations, is_uncertain in entries(committed(language)):
        assert not is_uncertain, text
        assert len(translations) == (2 if plural else 1) and all(translations), (context, text)
        for translated in translations:
            given = set(PLACEHOLDER.findall(translated))
            # Only the form for one may leave its number out, as "Show the job" does.
            assert given == set(PLACEHOLDER.findall(plural or text)) or given == set(PLACEHOLDER.findall(text)), (text, translated)


#: An English word -> what stands for it in German, and for nothing else: who reads *abbrechen* must know that a job is killed.
ONE_WORD = {
    r"\bkill": r"abbr[eu]ch|abgebrochen",
    r"\bpaus": r"anhalt|angehalten|hält (?!fest|jetzt|ihre)",
}


@pytest.mark.parametrize("english", ONE_WORD)
def test_a_german_word_for_what_is_done_means_one_thing(english: str) -> None:
    german = re.compile(rf"\b(?:{ONE_WORD[english]})", re.IGNORECASE)
    others = re.compile(rf"{english}|asked to (?:stop|die)", re.IGNORECASE)

    wrong = {text: found for _context, text, plural, found, _ in entries(committed("de")) if german.search(" ".join(found))
             and not others.search(f"{text} {plural}")}  # fmt: skip

    assert wrong == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_says_what_the_readable_one_says(language: str) -> None:
    with committed(language).with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # the only way to see all of it

    for context, text, plural, translations, _ in entries(committed(language)):
        key = text.replace('\\"', '"').replace("\\n", "\n")
        key = f"{context}\x04{key}" if context else key
        said = [compiled[(key, number)] for number in range(2)] if plural else [compiled[key]]
        assert said == [one.replace('\\"', '"').replace("\\n", "\n") for one in translations]


class Seen(HTMLParser):
    """What a reader meets in the dashboard's part of a page: texts, and the words of attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.numbers: list[tuple[str, str]] = []
        self._hidden = 0
        # What the jobs of the test carry changes from page to page, and is nobody's to translate.
        self.feed(html[html.index('<div class="ja"') :])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style", "pre", "code", "datalist")
        for name, value in attrs:
            if name in ("title", "aria-label", "placeholder", "alt", "data-away") and value:
                self.words.append(value)
            if tag in ("rect", "path", "line", "svg", "input") and name in (
                "x",
                "y",
                "width",
                "height",
                "x1",
                "x2",
                "y1",
                "y2",
                "d",
                "points",
            ):
                self.numbers.append((name, value or ""))

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "pre", "code", "datalist")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(" ".join(data.split()))


def left_in_english(english: str, german: str) -> set[str]:
    """What both pages say in the same words although it is no name, number or unit."""
    both = set(Seen(english).words) & set(Seen(german).words)
    rest = {text: re.findall(r"[^\W\d_]{2,}", DATA.sub(" ", text)) for text in both}
    return {text for text, words in rest.items() if any(not SAME.fullmatch(word.lower()) for word in words)}


@pytest.fixture
def busy(store: Any, admin_user: Any) -> dict[str, str]:
    """A store with a bit of everything, and the address of every page about it."""
    parent = make_status("started", job_name="planning.nightly", queue="default", user="marta")
    parent.set_progress(1, 2)
    failed = parent.spawn("mail.send", job_args={"book": "Book:53"}, queue="default", user="marta").queued().started(worker="worker-1")
    failed.add_error(ValueError("no route"))
    failed.failed().requeued().started(worker="worker-1").request_kill(by="marta", reason="no route").killed()
    make_status("queued", job_name="mail.send", queue="default")
    Operation.objects.create(action="kill", username="marta", state="done", announced=3, changed=2, skipped=1, reason="no route")
    operation = Operation.objects.create(action="remove", username="marta", state="running", announced=3)
    SavedView.objects.create(name="What failed", owner=admin_user, page="list", querystring="state=failed")
    plain = ("overview", "list", "names", "errors", "operations", "queues", "workers", "redis")
    return {
        **{name: reverse(f"jobadmin:{name}") for name in plain},
        "empty": reverse("jobadmin:list") + "?name=mail.none",
        "resource": reverse("jobadmin:resource", args=["Book_3A53"]),
        "bulk": reverse("jobadmin:bulk", args=["remove"]) + "?span=all",
        "operation": reverse("jobadmin:operation", args=[operation.pk]),
        "job": job_url(failed.id),
        "parent": job_url(parent.id),
        "workflow": workflow_url(parent.id),
        "wrong filter": reverse("jobadmin:list") + "?state=exploded",
        "no such job": job_url("nobody"),
    }


PAGES = ("overview", "list", "names", "errors", "operations", "queues", "workers", "redis", "empty", "resource", "bulk", "operation", "job", "parent",
         "workflow", "wrong filter", "no such job")  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_german_page_has_nothing_english_in_its_frame(admin_client: Client, busy: dict[str, str], name: str) -> None:
    english = admin_client.get(busy[name], headers={"Accept-Language": "en"}).content.decode()
    german = admin_client.get(busy[name], headers={"Accept-Language": "de"}).content.decode()

    assert '<html lang="de"' in german
    assert left_in_english(english, german) == set()


@pytest.mark.parametrize("name", ["overview", "list", "parent"])
def test_drawings_are_numbers_for_machines_in_every_language(admin_client: Client, busy: dict[str, str], name: str) -> None:
    german = admin_client.get(busy[name], headers={"Accept-Language": "de"}).content.decode()

    assert not [number for number in Seen(german).numbers if re.fullmatch(r"-?\d+,\d+", number[1])]


def test_numbers_durations_and_dates_are_german(store: Any) -> None:
    at = datetime(2026, 11, 19, 14, 32, tzinfo=UTC)

    with translation.override("de"):
        assert formats.count(1204318) == "1.204.318"
        assert formats.share(3, 40) == "7,5 %"
        assert formats.duration(1.84) == "1,84 s"
        assert formats.number(1234.5) == "1.234,5"
        assert formats.size(1_234_567) == "1,2 MB"
        assert formats.dated(at, "D j M, H:i") == "Do 19. Nov, 14:32"
        assert formats.ago(at, at.replace(minute=59)) == "vor 27 min"


def test_the_package_brings_its_catalogues() -> None:
    text = (messages.ROOT / "pyproject.toml").read_text()

    assert '"jobadmin" = ["locale/*/LC_MESSAGES/django.*"]' in text
