"""Whatever a job carries is text, and a secret in it is nobody's business: in every field, on every page, in every file."""

import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote_plus

import pytest
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses import outputs
from statuses.testing import make_status
from tests.jobadmin.crawler import crawl
from tests.jobadmin.engines import toy_engine

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

#: A tag that no page has; if it or its attribute is ever parsed, a text became markup.
TEXTS = {
    "html": "\"'><zap onzap=1>--></textarea></title></script><script>zap()</script>{{ 7|add:7 }}{% zap %}",
    "attribute": "' onzap=1 \" onzap=2 ` onzap=3 javascript:zap()",
    "bidi": "\u202eevil\u202c\x00\u200f\u2066\u0007\x1b[31m\ufeff \u2069 \u2067b \u2068c \u202ad \u202be \u202df\u200bg\u200c\u200e\u00ad\u2060\u2064h\u2028",
    "long": "-" + "x" * 10_000 + "*",
    "longest": "-" + "y" * 998 + "*",
    "formula": '=HYPERLINK("http://evil","zap")',
    "emoji": "👩🏽‍🚒🇺🇳\U0001f4a9 \ud7ff ﷽ Z̷̢̛a̶l̴g̵o",
    "path": "../../..//\\?&#%2F%00;x=y",
}
#: Characters that turn the direction of the text around them, or that nobody sees; the joiner of emoji apart.
TURNING = re.compile("[\u00ad\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
SECRET = "correcthorsebattery"
#: Spellings in which a secret comes in a text.
SECRETS = (
    f"https://user:{SECRET}@host/x", f"password={SECRET}", f'{{"api_key": "{SECRET}"}}', f"Authorization: Bearer {SECRET}",
    f"token: '{SECRET}'", f"f(1, secret='{SECRET}')", f"kwargs={{'db': {{'passwd': '{SECRET}'}}}}", f'\\"token\\": \\"{SECRET}\\"',
)  # fmt: skip


def fill(text: str, name: str, own: str = "") -> None:
    """Jobs and an operation that have the text wherever there can be one, and `name` for what names things; `own` is what ids
    are made of."""
    short = text[:1_000]
    job = make_status(
        "started", job_name=name, job_args={short[:100]: short, "all": [short, "Book:53"]}, queue=name, user=name, engine="toy",
        provider_job_id=own or name, call={"args": [text, [text]], "kwargs": {text: text, "deep": {"list": [{"a": text, "api_key": SECRET}]}}},
        data={text: text, "db_password": [SECRET]}, id=f"1{(own or name)[:100]}x",
    )  # fmt: skip
    job.set_worker(name)
    job.add_error(
        {"class": f"app.{short}", "message": text, "traceback": _traceback(text), "frames": [{"file": short, "line": 3, "own": True}]}
    )
    job.add_error(text)
    job.add_error({"type": text, text: [text]})
    job.failed().requeued().started()
    job.set_progress(1, 3, message=short).heartbeat()
    job.spawn(name, job_args={"c": short}).queued().started().add_error(text)
    make_status("queued", job_name=name, queue=name, depends_on=[job.id], parent=job.id)
    make_status("failed", job_name=name, job_args={"b": short}, error=text)
    job.request_kill(by=name, reason=short)
    make_status("succeeded", job_name="with.outputs", data={"text": text})
    Operation.objects.create(action="kill", username=(own or name)[:150], reason=text, description=text, state="failed", error=text, ids=[job.id],
                             announced=1, plan={"errors": [text]})  # fmt: skip


def _traceback(text: str) -> str:
    return (
        f'Traceback (most recent call last):\n  File "/srv/{text[:200]}.py", line 3, in {text[:200]}\n    {text[:500]}\nValueError: {text}'
    )


@pytest.fixture
def said() -> Iterator[None]:
    """An output that is made of a job's text."""

    def parts(status: statuses.Status) -> list[Any]:
        text = (status.data or {}).get("text", "")
        return [
            outputs.Text(text=text, title=text), outputs.Link(url=text, text=text), outputs.Link(url=f"javascript:{text}", text="go"),
            outputs.Table(columns=[text, "password"], rows=[[text, SECRET], ["=1+1", "-"]]), outputs.File(url=text, name=text),
            outputs.Image(url=text, alt=text),
        ]  # fmt: skip

    outputs.register("with.outputs")(parts)
    with toy_engine():
        yield
    outputs.unregister(parts)


class Strict(HTMLParser):
    """Fails when it meets what no page of ours has. `words`: what the page says to whoever reads it: texts, and the words of
    attributes; not what a form sends back."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.words: list[str] = []
        self._is_field = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        assert tag not in ("zap", "style", "base", "iframe", "object", "embed"), self.address
        assert tag != "script" or "src" in names or dict(attrs).get("type") == "application/json", self.address
        self._is_field = tag == "textarea"
        for name, value in attrs:
            assert not name.startswith("on") and name != "style", (self.address, name)
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
                target = (value or "").strip("\x00\x1f \t\n").lower()
                assert not target.startswith(("javascript:", "data:", "vbscript:")), (self.address, value)
            elif name in ("title", "alt", "placeholder") or name.startswith("aria-"):
                self.words.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._is_field = False

    def handle_data(self, data: str) -> None:
        if not self._is_field:
            self.words.append(data)


def starts() -> list[str]:
    names = ("overview", "list", "names", "errors", "export_csv", "export_json")
    everything = [reverse(f"jobadmin:{name}") + "?span=all" for name in names]
    fields = [reverse("jobadmin:suggest", args=[field]) + "?span=all" for field in ("name", "resource", "queue", "user", "error", "worker")]
    now = [reverse(f"jobadmin:{name}") for name in ("queues", "workers", "operations")]
    now += [
        reverse("admin:jobadmin_operation_changelist"),
        *(f"/admin/jobadmin/operation/{one.pk}/change/" for one in Operation.objects.all()),
    ]
    jobs = [job_url(job.id) for job in statuses.all()]
    parts = [f"{job_url(job.id)}?part={part}" for job in statuses.all() if job.call for part in ("call", "data", "errors")]
    operations = [reverse("jobadmin:operation", args=[operation.pk]) for operation in Operation.objects.all()]
    return [*everything, *fields, *now, *jobs, *parts, *operations]


def walk(client: Client, look: Any) -> None:
    """Ask for everything there is, and for what it leads to."""
    first = starts()
    for address in first:
        answer = client.get(address)
        assert answer.status_code == 200, address
        look(address, b"".join(answer).decode())
    assert crawl(client, first[:1], reverse("jobadmin:overview"), look).broken == []


def test_hostile_text_stays_text_on_every_page_and_turns_nothing_beside_it(admin_client: Client, said: None) -> None:
    for text in TEXTS.values():
        fill(text, text[:1_000])
    turned: list[str] = []
    shown: list[str] = []

    def look(address: str, text: str) -> None:
        if text.lstrip().startswith("<"):
            words = Strict(address, text.replace("&#8203;", "")).words  # the page's own, which gives an empty line its height
            turned.extend(f"{address}: {one!r}"[:300] for one in words if TURNING.search(one))
            shown.extend(one for one in words if "\u27e8U+202E\u27e9evil" in one)

    walk(admin_client, look)

    assert turned == [], "\n".join(turned)
    assert len(shown) > 100


def test_a_text_that_turns_is_sent_back_and_exported_as_it_is(admin_client: Client) -> None:
    name = "\u202eevil\u2066"
    job = make_status("failed", job_name=name)

    found = admin_client.get(reverse("jobadmin:list"), {"name": name})
    exported = admin_client.get(reverse("jobadmin:export_json"))

    assert f'name="name" value="{name}"' in found.content.decode()
    assert f'value="{job.id}"' in found.content.decode()
    assert json.loads(b"".join(exported))[0]["job_name"] == name


def test_a_secret_is_on_no_page_and_in_no_address(admin_client: Client, said: None) -> None:
    for number, secret in enumerate(SECRETS):
        fill(secret, secret, f"mail.{number}")
    leaks: list[str] = []

    def look(address: str, text: str) -> None:
        for shown in (text, unescape(text), unquote_plus(unescape(text))):
            at = shown.find(SECRET)
            if at >= 0:
                leaks.append(f"{address}: …{shown[max(0, at - 150) : at + 20]}")
                return

    walk(admin_client, look)

    assert leaks == [], "\n".join(leaks)
