"""`manage.py demo`: the dashboard with everything it needs, and real jobs on it. Ctrl-C ends all of it."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from jobadmin.demo import admin
from jobadmin.demo.supervisor import DemoError, Stopped, Supervisor, say
from statuses.embedded import ServerError


class Command(BaseCommand):
    """Starts the demo and watches it until somebody ends it."""

    help = "Run the dashboard with a server, a worker and real jobs; Ctrl-C ends everything."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help="where to listen; default: 8000, or a free one when that is taken")

    def handle(self, *args: Any, port: int | None, **options: Any) -> None:
        try:
            with Supervisor(port) as demo:
                demo.prepare()
                say("Database: applying migrations.")
                call_command("migrate", verbosity=0, interactive=False)
                password = admin.ensure()
                say("Starting the worker, the web server and the first jobs.")
                demo.start()
                self.stdout.write(f"Address: {demo.address}")
                self.stdout.write(f"Login: {admin.NAME} / {password}")
                self.stdout.flush()
                say("Ctrl-C ends it.")
                demo.watch()
        except Stopped:
            return
        except (DemoError, ServerError) as error:
            self.stderr.write(str(error))
            sys.exit(1)
