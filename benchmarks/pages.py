"""What the pages cost, through the real web server as the demo starts it.

    python -m benchmarks.pages [--jobs 1000000] [--repeat 9] [--tabs 20] [--seconds 60] [--redis-server]

One store of `--jobs` jobs. Each page is asked for first in a web process that just started and has served the login page, then
`--repeat` times: the time until the answer was there and the CPU of the web process (in ticks of the system), medians; its bytes
as they travel. Then a browser's first visit, where a Chromium is there: requests and bytes, with an empty cache. Then `--tabs`
open pages, half overview, half list, each asking as often as the page of the last hour does, on a store that rests and on one
where a job moves every second: the share of two cores that web server and store took together."""

import argparse
import contextlib
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
#: As `spans.PRESETS` has it for the last hour, seconds.
REFRESH = 5
PAGES = {
    "overview, all time": "/admin/jobs/?span=all",
    "overview, 7 days": "/admin/jobs/",
    "list, 50 rows": "/admin/jobs/list/?span=all",
    "list of one name's failures": "/admin/jobs/list/?span=all&name=job_name.00000&state=failed",
    "all names": "/admin/jobs/names/?span=all",
    "all errors": "/admin/jobs/errors/?span=all",
    "one resource": "/admin/jobs/resources/Book:0/?span=all",
    "the store": "/admin/jobs/redis/",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of the web server."""

    status: int
    ms: float
    """Until it was there, for who asked."""
    size: int
    """Bytes of the body, packed."""
    tag: str


class Web:
    """The web server, as the supervisor of the demo starts it."""

    def __init__(self, environ: dict[str, str], cookie: str) -> None:
        self.cookie = cookie
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            os.set_inheritable(listener.fileno(), True)
            command = [
                sys.executable,
                "-m",
                "gunicorn",
                "jobadmin.wsgi",
                "--bind",
                f"fd://{listener.fileno()}",
                "--worker-class",
                "gthread",
            ]
            command += ["--workers", "1", "--threads", "8", "--no-control-socket", "--log-level", "warning"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=(listener.fileno(),), stderr=subprocess.DEVNULL)
        self.get("/admin/login/", cookie=False)

    def get(self, path: str, *, headers: dict[str, str] | None = None, cookie: bool = True) -> Answer:
        """Ask for one page."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Accept-Encoding": "gzip", **({"Cookie": f"sessionid={self.cookie}"} if cookie else {}), **(headers or {})}
        began = time.perf_counter()
        line.request("GET", path, headers=sent)
        reply = line.getresponse()
        body = reply.read()
        took = 1000 * (time.perf_counter() - began)
        line.close()
        return Answer(status=reply.status, ms=took, size=len(body), tag=reply.headers.get("ETag", ""))

    def cpu_ms(self) -> float:
        """CPU of the web server so far, all of its processes."""
        return sum(map(cpu_ms, [self.process.pid, *_children(self.process.pid)]))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def cpu_ms(pid: int) -> float:
    """CPU of one process so far."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def fill(jobs: int) -> None:
    """The store, and a job whose page is asked for."""
    import statuses
    from benchmarks.columns import build
    from statuses.clock import to_us
    from statuses.store import current

    build(current(), jobs, to_us(statuses.server_time()))
    current().current.clear()


def session() -> str:
    """The key of a session of an administrator."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin", "admin@example.org", "admin"))
    return client.cookies["sessionid"].value


def one_by_one(environ: dict[str, str], cookie: str, repeat: int, job: str) -> list[tuple[str, ...]]:
    """Each page cold and warm."""
    table = [("page", "first, ms", "of CPU", "warm, ms", "of CPU", "bytes, packed")]
    for name, path in {**PAGES, "one job": f"/admin/jobs/{job}/"}.items():
        web = Web(environ, cookie)
        try:
            before = web.cpu_ms()
            first = web.get(path)
            first_cpu = web.cpu_ms() - before
            assert first.status == 200, (path, first.status)
            web.get(path)
            before, answers = web.cpu_ms(), [web.get(path) for _ in range(repeat)]
            cpu = (web.cpu_ms() - before) / repeat
        finally:
            web.stop()
        warm = statistics.median(answer.ms for answer in answers)
        table.append((name, f"{first.ms:.0f}", f"{first_cpu:.0f}", f"{warm:.0f}", f"{cpu:.0f}", f"{first.size:,}"))
    return table


def first_visits(web: Web, job: str) -> list[tuple[str, ...]] | None:
    """Requests and bytes of a browser that was never here; None where there is no browser."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        return None
    from playwright.sync_api import sync_playwright

    table = [("first visit", "requests", "bytes, as they travel")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        pages = {"overview": "/admin/jobs/?span=all", "list": "/admin/jobs/list/?span=all", "one job": f"/admin/jobs/{job}/"}
        for name, path in pages.items():
            for zone in ("UTC", "America/New_York"):
                context = browser.new_context(timezone_id=zone)
                context.add_cookies([{"name": "sessionid", "value": web.cookie, "url": f"http://127.0.0.1:{web.port}"}])
                page, sizes = context.new_page(), []
                line = context.new_cdp_session(page)
                line.send("Network.enable")
                line.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
                page.goto(f"http://127.0.0.1:{web.port}{path}", wait_until="networkidle")
                table.append((f"{name}, browser in {zone}", str(len(sizes)), f"{sum(sizes):,.0f}"))
                context.close()
        browser.close()
    return table


class Tab(threading.Thread):
    """An open page: asks again and again, as the script of the page does."""

    def __init__(self, web: Web, path: str, delay: float, until: float) -> None:
        super().__init__(daemon=True)
        self.web, self.path, self.delay, self.until = web, path, delay, until
        self.answers: list[Answer] = []

    def run(self) -> None:
        time.sleep(self.delay)
        tag = ""
        while time.monotonic() < self.until:
            next_look = time.monotonic() + REFRESH
            answer = self.web.get(self.path, headers={"HX-Request": "true", "If-None-Match": tag})
            tag = answer.tag or tag
            self.answers.append(answer)
            time.sleep(max(0.0, next_look - time.monotonic()))


def tabs(web: Web, server: int, number: int, seconds: float, moving: bool) -> tuple[str, ...]:
    """The share of two cores that open pages take."""
    import statuses

    until = time.monotonic() + seconds
    paths = ("/admin/jobs/?live=1&span=1h", "/admin/jobs/list/?live=1&span=1h&upto=2100-01-01T00:00:00Z")
    threads = [Tab(web, paths[turn % 2], REFRESH * turn / number, until) for turn in range(number)]
    before, began = web.cpu_ms() + cpu_ms(server), time.monotonic()
    for thread in threads:
        thread.start()
    while moving and time.monotonic() < until:
        statuses.create(job_name="job_name.00000", state="queued").started().succeeded()
        time.sleep(1)
    for thread in threads:
        thread.join()
    took = 1000 * (time.monotonic() - began)
    share = (web.cpu_ms() + cpu_ms(server) - before) / took / 2
    answers = [answer for thread in threads for answer in thread.answers]
    same = sum(answer.status == 304 for answer in answers) / len(answers)
    name = "a job moves every second" if moving else "nothing moves"
    return (
        f"{number} tabs, {name}",
        f"{len(answers) / took * 1000:.1f}",
        f"{same:.0%}",
        f"{share:.1%}",
        f"{statistics.median(a.ms for a in answers):.0f}",
    )


@contextlib.contextmanager
def place(redis_server: bool) -> Generator[tuple[dict[str, str], int]]:
    """A server, a database and the environment that leads there; the server's process."""
    from statuses.embedded import EmbeddedServer, find_binary

    binary = find_binary(("redis-server",)) if redis_server else find_binary()
    with tempfile.TemporaryDirectory(prefix="ja-pages-") as folder, EmbeddedServer(folder, append_only=False, binary=binary) as server:
        os.environ.update(
            REDIS_URL=server.url, JOBADMIN_VAR=folder, JOBADMIN_DEMO="0", DJANGO_SETTINGS_MODULE="jobadmin.settings", PYTHONPATH=str(ROOT)
        )
        import django

        django.setup()
        assert server.pid is not None
        yield dict(os.environ), server.pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--tabs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--redis-server", action="store_true")
    options = parser.parse_args()
    with place(options.redis_server) as (environ, server):
        import statuses
        from benchmarks.writes import show

        cookie = session()
        fill(options.jobs)
        job = statuses.where(state="failed").first()
        assert job is not None
        facts = statuses.ping()
        print(f"{facts['server']} {facts['version']}, {options.jobs:,} jobs, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        show("Pages", one_by_one(environ, cookie, options.repeat, job.id))
        web = Web(environ, cookie)
        try:
            visits = first_visits(web, job.id)
            if visits:
                show("First visits", visits)
            heads = ("open pages", "looks a second", "unchanged", "of two cores", "median ms")
            show("Live", [heads, *(tabs(web, server, options.tabs, options.seconds, moving) for moving in (False, True))])
        finally:
            web.stop()


if __name__ == "__main__":
    main()
