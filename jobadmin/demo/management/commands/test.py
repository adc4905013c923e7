"""`manage.py test`: the whole suite by pytest, with a server of its own. All arguments go to pytest."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from jobadmin.demo.environment import ROOT


def processes(processors: int) -> int:
    """How many run files of tests beside each other: one more than there are processors, where those are few. Half of the time a file
    waits for workers, servers and browsers of its own."""
    return min(processors + 1, 4)


#: Each has servers of its own: a file is not divided, its tests share workers. Files come in the order that `tests/conftest.py` gives
#: them, not by number of tests: files of few and long ones would come last.
PARALLEL = ("-n", str(processes(os.cpu_count() or 1)), "--dist", "loadfile", "--no-loadscope-reorder")
#: With these one looks at few tests, one after the other.
_ONE_BY_ONE = ("-n", "--numprocesses", "-k", "-p", "-s", "-x", "--pdb", "--lf", "--collect-only", "--co", "--help", "-h", "--version")


def arguments(given: Sequence[str]) -> list[str]:
    """What pytest is called with: the whole suite runs in parallel, a part that was named does not."""
    whole = not any(argument.partition("=")[0] in _ONE_BY_ONE or os.path.exists(argument.partition("::")[0]) for argument in given)
    return [*(PARALLEL if whole else ()), *given]


class Command(BaseCommand):
    """Becomes pytest: `manage.py test -k kill tests/statuses`, `--full`, `--redis-server`."""

    help = "Run the tests; all arguments go to pytest (--full: also what takes long, --redis-server: against Redis)."

    def run_from_argv(self, argv: list[str]) -> None:
        self.handle(*argv[2:])

    def handle(self, *args: str, **options: Any) -> None:
        # Not in this process: it has read the settings already, with the user's own server and database.
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        # Hundreds of processes are started: each would compile all that it imports, and pytest all tests in each of its own.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments(args)])
