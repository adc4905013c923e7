"""`manage.py test`: the whole suite by pytest, with a server of its own. All arguments go to pytest."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from jobadmin.demo.environment import ROOT


class Command(BaseCommand):
    """Becomes pytest: `manage.py test -k kill tests/statuses`, `--full`, `--redis-server`."""

    help = "Run the tests; all arguments go to pytest (--full: also what takes long, --redis-server: against Redis)."

    def run_from_argv(self, argv: list[str]) -> None:
        self.handle(*argv[2:])

    def handle(self, *args: str, **options: Any) -> None:
        # Not in this process: it has read the settings already, with the user's own server and database.
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *args])
