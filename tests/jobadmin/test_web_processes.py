"""Operations outlive the process that carries them out, and the browser that asked: two web servers, one of them killed."""

import http.client
import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import statuses
from statuses import State
from tests.servers import ROOT, Server, free_port, until

from .databases import apart, rows

JOBS = 2_000
PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createsuperuser", interactive=False, username="admin", email="a@example.org")
"""


class Web:
    """A web server of its own process, and somebody who is signed in."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.root = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", "tests.projects.web", "--bind", self.root.removeprefix("http://"), "--threads", "4"]
        with (folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--no-control-socket"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        until(self._answers, "the web server answers")
        login = {**self.form("/admin/login/"), "username": "admin", "password": "admin"}
        self.post("/admin/login/", "/admin/login/?next=/admin/jobs/operations/", login)

    def _answers(self) -> bool:
        try:
            return bool(self.get("/admin/login/"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        with self._opener.open(self.root + path, timeout=30) as answer:
            return answer.read().decode()

    def form(self, page: str) -> dict[str, str]:
        """What the form on a page carries."""
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.get(page)))

    def post(self, page: str, to: str, form: dict[str, str]) -> str:
        request = urllib.request.Request(self.root + to, urllib.parse.urlencode(form).encode(), {"Referer": self.root + page})
        with self._opener.open(request, timeout=30) as answer:
            return answer.read().decode()

    def ask(self, action: str, query: str) -> Callable[[], str]:
        """Look at the confirm page; what confirms it then."""
        page = f"/admin/jobs/bulk/{action}/"
        form = {**self.form(f"{page}?{query}"), "typed": str(JOBS), "reason": "proof"}
        return lambda: self.post(f"{page}?{query}", page, form)

    def kill(self) -> None:
        """As a machine that goes dark."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[tuple[Path, Server, dict[str, str], list[Web]]]:
    """A folder with a database, a server, what processes need to know, and the web servers that were started."""
    with tempfile.TemporaryDirectory(prefix="ja-") as name, django_db_blocker.unblock(), apart(Path(name)) as database:
        folder, webs = Path(name), list[Web]()
        server = Server(folder, "s")
        environment = {
            **os.environ, "REDIS_URL": server.url, "JOBADMIN_VAR": name, "JOBADMIN_DEMO": "0", "TEST_SENT": str(folder / "sent"),
            "DJANGO_SETTINGS_MODULE": "jobadmin.settings", "DJANGO_SUPERUSER_PASSWORD": "admin",
            "DATABASE_URL": database,
        }  # fmt: skip
        subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=environment, check=True, capture_output=True)
        yield folder, server, environment, webs
        for one in webs:
            one.kill()
        server.stop()


@pytest.fixture
def place(made: tuple[Path, Server, dict[str, str], list[Web]]) -> tuple[Web, Web, Path]:
    """Two web servers, and a store with failed jobs; nothing of other tests is left."""
    folder, server, environment, webs = made
    statuses.configure(url=server.url, namespace="jobs")
    statuses.all().delete_all(force=True)
    statuses.load({"id": f"job-{number}", "job_name": "mail.send", "state": "failed", "engine": "noting"} for number in range(JOBS))
    (folder / "sent").write_text("")
    rows(folder, "delete from jobadmin_operation")
    while len(webs) < 2:
        webs.append(Web(environment, folder))
    return webs[0], webs[1], folder


def operations(folder: Path) -> list[dict[str, Any]]:
    """The rows of the table, as another program reads them."""
    return rows(folder, "select * from jobadmin_operation order by id")


def sent(folder: Path) -> Counter[str]:
    return Counter((folder / "sent").read_text().split())


def test_an_operation_goes_on_in_another_process_and_sends_each_job_once(place: Any, made: Any) -> None:
    first, second, folder = place

    first.ask("retry", "span=all&state=failed")()
    until(lambda: operations(folder)[0]["done"] > 200, "the operation is under way")
    first.kill()
    made[-1].remove(first)
    (begun,) = operations(folder)
    until(lambda: operations(folder)[0]["state"] == "done", "another process finishes it", 90)

    (ended,) = operations(folder)
    once = sent(folder)
    assert begun["state"] == "running" and 0 < begun["done"] < JOBS
    assert ended["announced"] == ended["changed"] + ended["skipped"] + ended["missing"] == JOBS
    assert ended["changed"] == JOBS
    assert max(once.values()) == 1
    assert len(once) >= JOBS - 1  # the one that was claimed and not yet sent in the moment of the kill
    assert statuses.where(state=State.queued).count() == JOBS
    assert f"{JOBS:,}" in second.get(f"/admin/jobs/operations/{ended['id']}/")


def test_an_action_whose_process_is_killed_in_the_middle_is_on_record(place: Any) -> None:
    web, _other, folder = place
    statuses.load([{"id": "last", "job_name": "fatal", "state": "failed", "engine": "noting"}])
    form = web.form("/admin/jobs/last/")

    with pytest.raises((OSError, http.client.HTTPException)):
        web.post("/admin/jobs/last/", "/admin/jobs/last/retry/", form)

    (row,) = operations(folder)
    assert (row["action"], row["username"], json.loads(row["ids"]), row["state"], row["ended_at"]) == (
        "retry",
        "admin",
        ["last"],
        "unknown",
        None,
    )
    assert sent(folder) == {"last": 1}
    until(web._answers, "the server has another process")
    assert "Under way" in web.get(f"/admin/jobs/operations/{row['id']}/")


def test_two_operators_at_two_servers_send_each_job_once(place: Any) -> None:
    first, second, folder = place

    for confirm in [one.ask("retry", "span=all&state=failed") for one in (first, second)]:
        confirm()
    until(lambda: [row["state"] for row in operations(folder)] == ["done", "done"], "both are over", 90)

    rows = operations(folder)
    assert sent(folder) == Counter({f"job-{number}": 1 for number in range(JOBS)})
    assert sum(row["changed"] for row in rows) == JOBS
    for row in rows:
        assert row["announced"] == row["changed"] + row["skipped"] + row["missing"] == JOBS
