"""Every string of the dashboard that can be translated, taken from its sources; and the catalogues, brought up to them.

Python and templates of the dashboard lie in two folders of the repository, and the catalogues belong into the package: Django's
own `makemessages` runs on copies of both in one folder. (Not on links: it writes its notes beside the templates.) Needs GNU gettext.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jobadmin.demo.environment import ROOT

LOCALE = ROOT / "jobadmin" / "locale"
#: Where a catalogue stands below the folder of its language.
CATALOGUE = Path("LC_MESSAGES") / "django.po"
#: The demo is no part of the package; a migration repeats what the models say.
IGNORED = ("demo", "migrations", "locale", "__pycache__")


def has_gettext() -> bool:
    """Whether the programs are there: `apt install gettext`."""
    return all(map(shutil.which, ("xgettext", "msgmerge", "msgfmt", "msguniq")))


def extract(folder: Path, language: str = "de") -> Path:
    """An empty catalogue with every string, made below `folder`.  Raises: CalledProcessError."""
    (folder / "locale").mkdir()
    for name in ("jobadmin", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*IGNORED))
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "django", "makemessages", "-l", language, "--no-wrap", "--no-location"]
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return folder / "locale" / language / CATALOGUE


def refresh(language: str) -> Path:
    """Bring a catalogue up to the sources: new strings come in empty, those that are gone leave. Gives its path."""
    catalogue = LOCALE / language / CATALOGUE
    with tempfile.TemporaryDirectory() as folder:
        fresh = extract(Path(folder), language)
        if catalogue.exists():
            options = ["--update", "--backup=none", "--no-wrap", "--no-fuzzy-matching", "--quiet"]
            subprocess.run(["msgmerge", *options, str(catalogue), str(fresh)], check=True)
            subprocess.run(["msgattrib", "--no-obsolete", "--no-wrap", "-o", str(catalogue), str(catalogue)], check=True)
        else:
            catalogue.parent.mkdir(parents=True)
            shutil.copy(fresh, catalogue)
    return catalogue


def compile_catalogue(catalogue: Path) -> None:
    """Write the compiled catalogue beside it; placeholders that do not fit are an error.  Raises: CalledProcessError."""
    subprocess.run(["msgfmt", "--check", "-o", str(catalogue.with_suffix(".mo")), str(catalogue)], check=True)
