"""`manage.py translations`: brings the dashboard's catalogues up to its sources, and compiles them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobadmin.demo import messages


class Command(BaseCommand):
    """New strings come in empty: translate them in the .po file and run it again."""

    help = "Bring the dashboard's catalogues up to its sources and compile them (needs GNU gettext)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("languages", nargs="*", help="such as de fr; without any: those that are there")

    def handle(self, *args: Any, **options: Any) -> None:
        if not messages.has_gettext():
            raise CommandError("GNU gettext is not installed: apt install gettext")
        for language in options["languages"] or sorted(folder.name for folder in messages.LOCALE.iterdir() if folder.is_dir()):
            catalogue = messages.refresh(language)
            messages.compile_catalogue(catalogue)
            self.stdout.write(f"{language}: {catalogue.relative_to(messages.ROOT)}")
