"""What tracking costs Celery: a task that does nothing, through a Redis broker and a prefork worker, with the adapter and without.

    python -m benchmarks.engines [--jobs 200] [--single 50] [--turns 60] [--processes 2] [--no-results] [--redis-server]

Two senders and two workers, one of each tracked, on one broker and one store of their own; in turns in one run. Times are medians
of the turns, a ratio is the median of the turns' own ratios: a turn is short, for a machine may change its pace from second to
second. `many`: from the first send until the last task is done, a task. `one by one`: from a send until its result is there.
CPU: user and system time of sender, worker (pool included), broker and store together, a task: what is left of the cost where
the machine is not idle."""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from celery import Celery

import statuses
from statuses.embedded import EmbeddedServer, find_binary
from statuses.engines import celery as tracking

MODES = ("plain", "tracked")
#: Seconds for one turn of one mode.
LIMIT_SECONDS = 120


def make_app(environment: Mapping[str, str]) -> Celery:
    """The project: one task, and the two lines that track it."""
    mode = environment["BENCH_MODE"]
    made = Celery("bench", broker=environment["BENCH_BROKER"], backend=environment.get("BENCH_RESULTS"))
    made.conf.update(task_default_queue=mode, result_expires=600, broker_connection_retry_on_startup=True)
    made.conf.update(redis_backend_health_check_interval=None)
    if mode == "tracked":
        statuses.configure(url=environment["BENCH_STORE"], namespace="bench")
        tracking.install(made)
    return made


if "BENCH_MODE" in os.environ:
    app = make_app(os.environ)

    @app.task(name="bench.nothing")
    def nothing() -> None:
        """Nothing."""


def send(count: int) -> None:
    """Send so many, one after the other, without waiting for any."""
    for _ in range(count):
        nothing.delay()


def send_one_by_one(count: int) -> list[float]:
    """Seconds until each had its result, of tasks that are sent when the one before has it."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        nothing.delay().get(timeout=LIMIT_SECONDS, interval=0.001)
        took.append(time.perf_counter() - began)
    return took


def sender() -> None:
    """The process that sends: does what each line of its input says, and answers with a line."""
    for line in sys.stdin:
        what, count = line.split()
        if what == "many":
            send(int(count))
            print("sent", flush=True)
        else:
            print(statistics.median(send_one_by_one(int(count))), flush=True)


class Side:
    """The sender and the worker of one mode."""

    def __init__(self, mode: str, environment: dict[str, str], processes: int, logs: Path) -> None:
        self.mode = mode
        made = {**os.environ, **environment, "BENCH_MODE": mode, "C_FORCE_ROOT": "1"}
        command = ["-m", "celery", "-A", "benchmarks.engines", "worker", "-c", str(processes), "-Q", mode, "-n", f"{mode}@bench"]
        self.log = logs / f"{mode}.log"
        with self.log.open("wb") as log:
            flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
            self.worker = subprocess.Popen([sys.executable, *command, *flags], env=made, stdout=log, stderr=log)
            self.sender = subprocess.Popen(
                [sys.executable, "-c", "from benchmarks.engines import sender; sender()"],
                env=made,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, what: str, count: int) -> str:
        """Let the sender do it; its answer."""
        assert self.sender.stdin is not None and self.sender.stdout is not None
        self.sender.stdin.write(f"{what} {count}\n")
        self.sender.stdin.flush()
        answer = self.sender.stdout.readline()
        assert answer, self.log.read_text()
        return answer

    def cpu(self) -> float:
        """Seconds of user and system time that its processes have taken."""
        pool = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.worker.pid)], capture_output=True, text=True)
        return sum(cpu_of(int(pid)) for pid in [self.sender.pid, self.worker.pid, *pool.stdout.split()])

    def close(self) -> None:
        assert self.sender.stdin is not None
        self.sender.stdin.close()
        self.sender.wait(20)
        self.worker.terminate()
        self.worker.wait(20)


def cpu_of(pid: int) -> float:
    """User and system seconds of a process."""
    with contextlib.suppress(OSError):  # exact, where the system keeps it
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """Both sides, and what is measured on each."""

    def __init__(self, sides: dict[str, Side], broker: EmbeddedServer, store: EmbeddedServer, results: bool) -> None:
        self.sides = sides
        self.results = results
        self.broker = redis.Redis.from_url(broker.url)
        self.servers = {redis.Redis.from_url(server.url).info("server")["process_id"] for server in (broker, store)}

    def many(self, mode: str, count: int) -> tuple[float, float]:
        """Seconds and CPU seconds a task, of `count` that are sent as fast as it goes."""
        side = self.sides[mode]
        before, began = self._cpu(side), time.perf_counter()
        side.ask("many", count)
        while self._left(mode):
            time.sleep(0.002)
        took = time.perf_counter() - began
        return took / count, (self._cpu(side) - before) / count

    def one_by_one(self, mode: str, count: int) -> tuple[float, float]:
        """Median seconds, and CPU seconds, of a task that is sent once the one before is done."""
        side = self.sides[mode]
        before = self._cpu(side)
        took = float(side.ask("single", count))
        return took, (self._cpu(side) - before) / count

    def _left(self, mode: str) -> int:
        """Messages that wait or that a worker holds: none once the last one was acknowledged."""
        waiting, held = self.broker.pipeline(transaction=False).llen(mode).hlen("unacked").execute()
        return waiting + held

    def _cpu(self, side: Side) -> float:
        return side.cpu() + sum(cpu_of(pid) for pid in self.servers)


@contextmanager
def started(processes: int, results: bool, binary: Any = None, one_server: bool = False) -> Generator[Bench]:
    """Servers, workers and senders, for as long as the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker = stack.enter_context(EmbeddedServer(folder / "b", append_only=False, binary=binary))
        store = broker if one_server else stack.enter_context(EmbeddedServer(folder / "s", append_only=False, binary=binary))
        path = broker.url.removeprefix("unix://").split("?")[0]
        environment = {"BENCH_BROKER": f"redis+socket://{path}", "BENCH_STORE": store.url}
        if results:
            environment["BENCH_RESULTS"] = f"redis+socket://{path}?virtual_host=1"
        sides = {}
        for mode in MODES:
            sides[mode] = Side(mode, environment, processes, folder)
            stack.callback(sides[mode].close)
        yield Bench(sides, broker, store, results)


def measure(bench: Bench, jobs: int, single: int, turns: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(what, mode) -> what each turn measured."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(-1, turns):
        order = MODES if turn % 2 else MODES[::-1]
        rounds = [("many", mode, bench.many(mode, jobs if turn >= 0 else 100)) for mode in order]
        if bench.results:
            rounds += [("one by one", mode, bench.one_by_one(mode, single if turn >= 0 else 20)) for mode in order]
        for what, mode, measured in rounds:
            if turn >= 0:  # the first turn warms up
                found.setdefault((what, mode), []).append(measured)
    return found


def table(found: dict[tuple[str, str], list[tuple[float, float]]]) -> list[tuple[str, ...]]:
    """Lines to print."""
    lines: list[tuple[str, ...]] = [("what", "plain us", "tracked us", "ratio", "plain CPU us", "tracked CPU us", "ratio")]
    for what in dict.fromkeys(what for what, _ in found):
        cells: list[str] = [what]
        for number in (0, 1):
            plain, tracked = ([1e6 * turn[number] for turn in found[what, mode]] for mode in MODES)
            ratio = statistics.median(with_it / without for without, with_it in zip(plain, tracked, strict=True))
            cells += [f"{statistics.median(plain):,.0f}", f"{statistics.median(tracked):,.0f}", f"{ratio:.2f}"]
        lines.append(tuple(cells))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--single", type=int, default=50)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-results", action="store_true", help="without a result backend; then nothing is measured one by one")
    parser.add_argument("--redis-server", action="store_true", help="Debian's Redis as broker and store, in place of the embedded Valkey")
    parser.add_argument("--one-server", action="store_true", help="broker, results and store on one server, as small projects have it")
    given: Any = parser.parse_args()
    binary = find_binary(("redis-server",)) if given.redis_server else None
    with started(given.processes, not given.no_results, binary, given.one_server) as bench:
        for line in table(measure(bench, given.jobs, given.single, given.turns)):
            print("".join(cell.ljust(16) for cell in line))


if __name__ == "__main__":
    main()
