"""The page about the store: its servers, what the statuses take of them, and what somebody has to look after; in a shell, too."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import redis
from django.core.checks import ERROR, WARNING
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import formats
from jobadmin.troubles import BROKEN_WRITES
from statuses import checks, health, keys, upkeep
from statuses import store as stores
from statuses.embedded import EmbeddedServer
from statuses.health import Examined
from statuses.testing import make_status
from tests.jobadmin.test_jobs_command import run, run_json
from tests.statuses.instances import Instance, instances
from tests.statuses.test_clients import use

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]
HOSTILE = "<script>alert(1)</script>"
RIGHTS = ("~*", "+@all", "-info", "-config", "-memory")


@pytest.fixture
def client(browse: Callable[..., Client]) -> Client:
    return browse("view_job")


@pytest.fixture
def other(other_server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A server that a test may set up as it likes; the statuses are there."""
    with stores.set_aside(), redis.Redis.from_url(other_server.url) as client:
        statuses.configure(url=other_server.url, namespace="p")
        yield client


@pytest.fixture
def make() -> Iterator[Callable[..., Instance]]:
    with instances() as made:
        yield made


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the page see another server than there is, with something different about it."""

    def see(**about: Any) -> None:
        found = health.examine()
        monkeypatch.setattr(health, "examine", lambda: replace(found, servers=(replace(found.servers[0], **about),)))

    return see


def page(client: Client) -> str:
    answer = client.get(reverse("jobadmin:redis"))
    assert answer.status_code == 200
    return answer.content.decode()


def text(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split()).replace(" .", ".")


def rows(markup: str, panel: str) -> list[str]:
    """The words of each row of a panel's table."""
    part = markup.partition(f'id="{panel}"')[2].partition("</table>")[0].partition("<tbody")[2].partition(">")[2]
    return [text(row) for row in part.split("</tr>")[:-1]]


def notes(client: Client) -> list[str]:
    return [text(found) for found in re.findall(r'id="j-store-\d+">(.*?)</div>', page(client), re.S)]


def policies(markup: str) -> list[tuple[str, str]]:
    """Colour and words of the notes about a maxmemory-policy."""
    found = re.findall(r'<div class="j-note (\S+)"[^>]*>(.*?)(?:<a |</div>)', markup, re.S)
    return [(colour, text(note)) for colour, note in found if "maxmemory-policy" in note]


def fact(markup: str, key: str) -> str:
    return text(markup.partition(f'id="j-fact-{key}">')[2].partition("</tr>")[0])


def test_a_server_says_what_it_is_and_how_it_does(client, store):
    make_status("succeeded")

    [row] = rows(page(client), "j-servers")

    told = store.info()
    product = f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"
    assert row.startswith(f"{health.addresses()[0]} {product}, primary ")
    assert re.search(r"primary \d+ (µs|ms) [\d.]+ MB no limit noeviction Nothing \d+ / [\d,]+ [\d,]+ 0 ", row)
    assert notes(client) == []


def test_an_empty_store_and_three_jobs_are_told(client):
    empty = page(client)
    gone = make_status("succeeded", job_name="a")
    for _ in range(3):
        make_status("succeeded", job_name="b")
    statuses.where(id=gone.id).delete_all(only_ended=True, undo_for=timedelta(minutes=10))
    three = page(client)

    assert fact(empty, "jobs") == "Jobs 0 None yet."
    assert fact(empty, "due") == (
        "Removed next 0 Nothing is due within a day. No cleaner has run, and nothing is ever removed without one: "
        "manage.py clean_jobs --every 3600"
    )
    assert re.fullmatch(r"Jobs 3 First recorded .+\. Last recorded .+\.", fact(three, "jobs"))
    assert f'href="{reverse("jobadmin:list")}?span=all"' in three
    assert fact(three, "restorable") == "Restorable 1 Removed by somebody, and can still be taken back."
    assert fact(three, "segments") == "Segments 1 4 rows handed out."
    assert fact(three, "memory_job") == "Memory of a job – Told from 10,000 jobs on: room is made for 65,520 at once."
    assert "Job names 2 65,000 <0.01 %" in rows(three, "j-texts")


def test_what_the_statuses_take_is_told_as_an_estimate_and_of_what(client):
    make_status("succeeded")

    said = fact(page(client), "memory")

    assert re.fullmatch(
        r"Memory of statuses ≈ [\d.]+ MB Columns [\d.]+ MB, tags .+, what single jobs hold \d+ B, dictionaries .+, the rest .+\. "
        r"Estimated from 1 of 1 rows and 1 of 1 segments\. Last estimated (just now|\d+ s ago)\.",
        said,
    )


def test_what_is_due_and_when_the_cleaner_ran_is_told(client):
    for _ in range(3):
        make_status("succeeded", keep_for=timedelta(hours=3))
    statuses.clean()

    assert re.fullmatch(
        r"Removed next 0 Their time to be kept is over; within a day it is for 3\. The cleaner ran last (just now|\d+ s ago)\.",
        fact(page(client), "due"),
    )


def test_the_panel_about_upkeep_is_that_of_the_workers_and_leads_here(client):
    make_status("failed")
    statuses.check()

    here, there = page(client), client.get(reverse("jobadmin:workers")).content.decode()

    first, second = ([re.sub(r"just now|\d+ s ago", "", row) for row in rows(markup, "j-upkeep")] for markup in (here, there))
    assert first == second != []
    assert f'href="{reverse("jobadmin:redis")}">The store</a>' in there and "The store</a>" not in here


@pytest.mark.parametrize(("maxmemory", "colour"), [("1gb", "s-failed"), ("0", "s-unknown")])
def test_a_server_that_may_drop_statuses_is_said_loudly_in_the_words_of_the_system_check(client, other, maxmemory, colour):
    other.config_set("maxmemory-policy", "allkeys-lru")
    other.config_set("maxmemory", maxmemory)
    [message] = checks.check_policy()

    assert notes(client) == [f"{message.msg} {message.hint}"]
    assert f'class="j-note {colour}" id="j-store-1"' in page(client)
    assert f'class="j-badge {colour}"' in page(client)


def test_a_policy_that_drops_only_what_expires_is_no_trouble(client, other):
    other.config_set("maxmemory-policy", "volatile-lru")
    other.config_set("maxmemory", "1gb")

    assert notes(client) == []
    assert "of 1.1 GB volatile-lru drops what expires, as no status does Nothing" in rows(page(client), "j-servers")[0]
    assert "  volatile-lru: drops what expires, as no status does  " in run("jobs", "redis")


@pytest.mark.parametrize(
    ("policy", "maxmemory"), [("allkeys-lru", "1gb"), ("allkeys-lfu", "0"), ("volatile-lru", "1gb"), ("noeviction", "0")]
)
def test_overview_page_shell_and_system_check_say_the_same_of_a_policy_and_as_loudly(client, other, monkeypatch, policy, maxmemory):
    monkeypatch.setattr("jobadmin.health._primaries", (0.0, []))
    other.config_set("maxmemory-policy", policy)
    other.config_set("maxmemory", maxmemory)
    checked = [(message.level, f"{message.msg} {message.hint}") for message in checks.check_policy() if message.level >= WARNING]

    said = [policies(client.get(reverse(f"jobadmin:{name}")).content.decode()) for name in ("overview", "redis")]

    assert said[0] == said[1] == [({ERROR: "s-failed", WARNING: "s-unknown"}[level], words) for level, words in checked]
    assert run_json("jobs", "redis")["warnings"] == [words for _, words in checked]
    assert len(checked) == policy.startswith("allkeys")


def test_the_same_stands_in_german(client, other):
    other.config_set("maxmemory-policy", "allkeys-lru")

    said = client.get(reverse("jobadmin:redis"), headers={"Accept-Language": "de"}).content.decode()

    assert "Der Server der Status hat die maxmemory-policy allkeys-lru: Ist sein Speicher voll" in said


@pytest.mark.parametrize("what", BROKEN_WRITES)
def test_a_write_to_disk_that_failed_is_said_loudly(client, seen, what):
    seen(broken_writes=(what,))

    assert notes(client) == [" ".join(map(str, BROKEN_WRITES[what]))]
    assert "Failed" in rows(page(client), "j-servers")[0]


def test_a_memory_that_is_nearly_full_is_said_before_writes_are_refused(client, other, seen):
    seen(maxmemory_bytes=100_000, memory_bytes=89_999)
    before = notes(client)
    seen(maxmemory_bytes=100_000, memory_bytes=90_000)

    assert before == []
    assert notes(client)[0].startswith("Of the memory that the server may take, 90.0 % is taken. When it is full every write is refused")
    seen(policy="volatile-ttl")
    assert (
        "When it is full it drops what expires, as no status does; when nothing is left that does, every write is refused"
        in notes(client)[0]
    )
    seen(uncounted_bytes=1)
    assert notes(client) == []


def test_keys_that_were_dropped_before_the_policy_was_mended_are_told(client, seen):
    seen(evicted=1200)

    assert notes(client)[0].startswith("It dropped 1,200 keys since it started. Its maxmemory-policy was another one then.")


def test_a_replica_that_is_written_to_is_told(client, seen):
    seen(role="replica", is_linked=True)

    assert notes(client) == ["The server that is written to is a replica. It takes no writes, and no job is tracked."]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (58_499, None),
        (58_500, "Job names: 90.0 % of the 65,000 different texts are taken. Then every new one counts as (other)."),
        (65_001, "Job names: all 65,000 different texts are taken, and every new one counts as (other)."),
    ],
)
def test_a_dictionary_is_told_loudly_from_nine_tenths_on_and_its_texts_are_not(client, store, texts, said):
    make_status("succeeded", job_name=HOSTILE)
    store.hset(keys.codes(stores.current().families[0], "names"), mapping={f"{HOSTILE}{n}": n + 2 for n in range(texts - 1)})

    found, markup = notes(client), page(client)

    assert [note.startswith(said) for note in found] == ([True] if said else [])
    assert "alert(1)" not in markup
    assert rows(markup, "j-texts")[0].startswith(f"Job names {formats.count(texts)} 65,000")


def test_hostile_names_of_chores_are_escaped(client):
    with upkeep.watching(30, HOSTILE), upkeep.doing(HOSTILE) as did:
        did[HOSTILE] = 1

    markup = page(client)

    assert HOSTILE not in markup and "&lt;script&gt;alert(1)&lt;/script&gt;" in markup


def test_what_may_not_be_asked_is_named_and_the_rest_is_shown(client, make):
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">hush", *RIGHTS)
    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="hush"):
        make_status("succeeded")
        markup = page(client)

    assert "What only CONFIG, INFO, MEMORY would tell is left out: this user may not ask." in markup
    assert fact(markup, "jobs").startswith("Jobs 1 ")
    assert fact(markup, "memory") == "Memory of statuses – Nobody can tell: the command MEMORY is forbidden here."
    assert re.fullmatch(rf"redis://127.0.0.1:{server.port} \d+ (µs|ms) – – – – – – –", rows(markup, "j-servers")[0])
    assert "hush" not in markup and "jobs@" not in markup


def test_the_other_pages_stand_where_the_server_may_not_be_asked_about_itself(client, make, monkeypatch):
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">hush", *RIGHTS)
    monkeypatch.setattr("jobadmin.health._primaries", (0.0, []))
    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="hush"):
        make_status("succeeded")
        pages = {name: client.get(reverse(f"jobadmin:{name}")) for name in ("overview", "list", "queues", "workers")}

    assert {name: answer.status_code for name, answer in pages.items()} == dict.fromkeys(pages, 200)
    assert policies(pages["overview"].content.decode()) == []


def test_the_overview_stands_where_one_server_does_not_say_how_it_is_set_and_keeps_what_it_knew(client, monkeypatch, store):
    def away():
        asked.append(True)
        raise statuses.StoreUnavailable("a read", "it is being replaced")

    asked = []
    monkeypatch.setattr("jobadmin.health._primaries", (0.0, []))
    monkeypatch.setattr(health, "primaries", away)

    assert [client.get(reverse("jobadmin:overview")).status_code for _ in range(2)] == [200, 200]
    assert len(asked) == 1


def test_a_store_that_is_away_is_said_as_on_every_page(client, other, other_server):
    other_server.stop()

    answer = client.get(reverse("jobadmin:redis"))

    assert answer.status_code == 503
    assert str(other_server.socket) in answer.content.decode()


def test_a_replica_that_is_away_is_said_and_its_primary_is_shown(client, server_url):
    with stores.set_aside():
        statuses.configure(url=server_url, namespace="r", read_url="unix:///nowhere.sock")
        markup = page(client)
        found = notes(client)

    assert found[0].startswith("The replica that answers queries is away. unix:///nowhere.sock Pages about jobs cannot be shown")
    first, second = rows(markup, "j-servers")
    assert "primary" in first and second.startswith("unix:///nowhere.sock Away answers queries –")
    assert 'id="j-fact-jobs"' not in markup and 'id="j-fact-cache"' in markup


def test_a_refresh_gets_what_moves_and_asks_the_server_little(client, store):
    make_status("succeeded")
    page(client)
    store.config_resetstat()

    part = client.get(reverse("jobadmin:redis"), headers={"HX-Request": "true"}).content.decode()

    assert 'id="j-servers"' in part and "<html" not in part
    called = {name: about["calls"] for name, about in store.info("commandstats").items()}
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_memory|usage", "cmdstat_memory"} & called.keys()
    assert sum(calls for name, calls in called.items() if "config" not in name) < 25


def test_a_shell_tells_the_same_in_words_and_as_json(client, store):
    make_status("succeeded", job_name="a")
    statuses.clean()
    examined: Examined = health.examine()

    said, found = run("jobs", "redis"), run_json("jobs", "redis")

    assert said.splitlines()[0].split()[:4] == ["server", "product", "role", "round_trip"]
    assert said.splitlines()[1].startswith(f"{examined.servers[0].address}  ")
    assert re.search(r" noeviction +Nothing +\d", said.splitlines()[1])
    for line in (r"^Jobs +1 +First recorded", r"^Job names +1 +65,000$", r"^once +clean "):
        assert re.search(line, said, re.M), line
    assert (found["holdings"]["jobs"], found["holdings"]["due"], found["servers"][0]["policy"]) == (1, 0, "noeviction")
    assert found["holdings"]["footprint"]["columns_bytes"] > 1_000_000
    assert {one["field"]: one["texts"] for one in found["holdings"]["dictionaries"]}["job_name"] == 1
    assert (found["chores"][0]["chore"], found["forbidden"], found["warnings"]) == ("clean", [], [])
    assert found["cache"]["max_bytes"] == examined.cache.max_bytes


def test_a_shell_warns_of_what_the_page_says_loudly(other):
    other.config_set("maxmemory-policy", "allkeys-lru")
    [message] = checks.check_policy()

    assert f"{message.msg} {message.hint}" in run("jobs", "redis")
    assert run_json("jobs", "redis")["warnings"] == [f"{message.msg} {message.hint}"]
