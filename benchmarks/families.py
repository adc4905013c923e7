"""What questions cost while many families are written to, by processes that write as fast as they can.

    python -m benchmarks.families [--families 1 16 32] [--jobs 200000] [--writers 3] [--repeat 40] [--beside CHECKOUT]

Each question is asked by a process that does nothing else, again and again: the time until it is answered (median and 95th
percentile), the CPU of that process, how many times an evaluation was begun, round trips, and megabytes read, means. With `--beside`
another checkout of the project is asked the same of the same store, turn by turn: what the machine does besides falls on both."""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DAY_US = 86_400_000_000


def questions() -> dict[str, Callable[[], Any]]:
    """What is asked, by name."""
    import statuses
    from statuses.clock import from_us

    everything = statuses.all()

    def overview(days: int) -> Any:
        """What the dashboard's first page asks."""
        until = int(time.time()) * 1_000_000
        after = until - days * DAY_US
        window = everything.where(recorded_at=(from_us(after), None))
        chart = {"on": "recorded_at", "after": from_us(after), "before": from_us(until), "buckets": 60}
        return window.report(
            counts=True,
            counts_by={"job_name": 10, "error": 8},
            durations=("run_time", "wait_time"),
            durations_by={"job_name": ("run_time", 10)},
            histogram={"run_time": 36, "wait_time": 36},
            timeline=chart,
            flags=True,
        )

    return {
        "counts": everything.counts,
        "counts, name + state": everything.where(job_name="short", state="succeeded").counts,
        "durations by name": lambda: everything.durations_by("job_name", "run_time"),
        "page": lambda: everything.limit(50).run(),
        "page by run time": lambda: everything.order_by("-run_time").limit(50).run(),
        "overview of the week": lambda: overview(7),
        "overview": lambda: overview(400),
    }


def write(url: str, families: int, stop: Any, jobs: Any) -> None:
    """What a worker of many short jobs writes."""
    import statuses

    statuses.configure(url=url, families=families)
    while not stop.is_set():
        statuses.create(job_name="short").started("w").succeeded()
        with jobs.get_lock():
            jobs.value += 1


def ask(url: str, families: int) -> None:
    """Answer the questions that are named on the lines of the input, each with what it cost."""
    import statuses
    from statuses import evaluation
    from statuses.store import Store

    statuses.configure(url=url, families=families, timeout_seconds=60)
    cost = {"tries": 0, "trips": 0, "bytes": 0}
    begin, read = evaluation.Evaluation.__init__, Store.pipeline

    def counted(self: Any, *given: Any, **named: Any) -> None:
        cost["tries"] += 1
        begin(self, *given, **named)

    def measured(self: Any, commands: Any, **named: Any) -> Any:
        replies = read(self, commands, **named)
        cost["trips"] += 1
        cost["bytes"] += sum(map(_size, replies))
        return replies

    evaluation.Evaluation.__init__, Store.pipeline = counted, measured  # ty: ignore[invalid-assignment]
    asked = questions()
    for line in sys.stdin:
        cost.update(dict.fromkeys(cost, 0))
        began, busy = time.perf_counter(), time.process_time()
        asked[line.strip()]()
        took = {"ms": 1000 * (time.perf_counter() - began), "cpu": 1000 * (time.process_time() - busy)}
        print(json.dumps({**took, **cost}), flush=True)


def _size(reply: Any) -> int:
    if isinstance(reply, list):
        return sum(map(_size, reply))
    return len(reply) if isinstance(reply, bytes) else 0


class Asker:
    """A process that is asked."""

    def __init__(self, checkout: Path, url: str, families: int) -> None:
        command = [sys.executable, __file__, "--ask", url, "--families", str(families)]
        environ = {**os.environ, "PYTHONPATH": str(checkout)}
        self._process = subprocess.Popen(command, cwd=checkout, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, name: str) -> dict[str, float]:
        """What one question cost."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def run(families: int, jobs: int, writers: int, repeat: int, checkouts: dict[str, Path], only: str) -> None:
    """One number of families, one table."""
    import statuses
    from benchmarks.columns import build
    from statuses.embedded import EmbeddedServer
    from statuses.store import current

    spawning = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory, EmbeddedServer(directory, append_only=False) as server:
        statuses.configure(url=server.url, families=families, timeout_seconds=60)
        for family in range(families if jobs else 0):
            build(current(), jobs // families, int(time.time() * 1e6), seed=family, resources=False, family=family)
        stop, written = spawning.Event(), spawning.Value("q", 0)
        processes = [spawning.Process(target=write, args=(server.url, families, stop, written), daemon=True) for _ in range(writers)]
        for process in processes:
            process.start()
        askers = {name: Asker(checkout, server.url, families) for name, checkout in checkouts.items()}
        time.sleep(2)
        before, began = written.value, time.perf_counter()
        names = [name for name in questions() if only in name]
        costs: dict[tuple[str, str], list[dict[str, float]]] = {}
        for number in range(repeat):
            for name in names:
                for who, asker in list(askers.items())[:: 1 if number % 2 else -1]:
                    costs.setdefault((name, who), []).append(asker.ask(name))
        rate = (written.value - before) / (time.perf_counter() - began)
        stop.set()
        for process in processes:
            process.join()
        for asker in askers.values():
            asker.stop()
        print(f"\n{families} families, {jobs:,} jobs and {written.value:,} more; {3 * rate:,.0f} writes a second meanwhile")
        print(f"{'':34}{'median ms':>10}{'p95':>8}{'CPU':>8}{'tries':>7}{'trips':>7}{'MB':>8}")
        for (name, who), found in costs.items():
            ms = sorted(one["ms"] for one in found[1:] or found)
            mean = {key: statistics.mean(one[key] for one in found) for key in found[0]}
            p95 = ms[-(-len(ms) * 95 // 100) - 1]
            label = f"{name}{f' ({who})' if len(checkouts) > 1 else ''}"
            numbers = f"{mean['cpu']:>8.1f}{mean['tries']:>7.1f}{mean['trips']:>7.1f}{mean['bytes'] / 1e6:>8.1f}"
            print(f"{label:34}{statistics.median(ms):>10.1f}{p95:>8.1f}{numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, nargs="+", default=[1, 16, 32])
    parser.add_argument("--jobs", type=int, default=200_000, help="there before, spread over the families")
    parser.add_argument("--writers", type=int, default=3, help="processes that write")
    parser.add_argument("--repeat", type=int, default=40, help="times each question is asked")
    parser.add_argument("--only", default="", help="questions whose names contain this")
    parser.add_argument("--beside", type=Path, help="another checkout, asked the same")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(given.ask, given.families[0])
        return
    checkouts = {"here": ROOT, **({"there": given.beside.resolve()} if given.beside else {})}
    for families in given.families:
        run(families, given.jobs, given.writers, given.repeat, checkouts, given.only)


if __name__ == "__main__":
    main()
