"""What is built from the repository has everything the app needs in a project of somebody else's."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, STATIC_URL="static/",
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.messages", "django.contrib.staticfiles", "django_htmx", "django_tables2", "statuses", "jobadmin"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "unix:///nowhere"}}, JOBADMIN={"CACHE": "default"},
)
django.setup()
import jobadmin, statuses
from django.contrib.staticfiles import finders
from django.core.management import get_commands
from django.template.loader import get_template
from statuses.lua import source
urlpatterns = []
print(jobadmin.__file__)
print(get_template("jobadmin/overview.html").origin.name)
print(finders.find("jobadmin/app.js"))
print(sorted(path.name for path in __import__("pathlib").Path(source.__file__).parent.glob("*.lua"))[0])
print(get_commands()["test"])
"""


def packages() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


def test_every_package_but_the_demo_is_built():
    folders = [path.parent for top in ("jobadmin", "statuses") for path in ROOT.glob(f"{top}/**/__init__.py")]
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    wanted = {name for name in names if not name.startswith("jobadmin.demo")} | {"jobadmin.templates", "jobadmin.static"}

    assert set(packages()) == wanted


@pytest.mark.full
@pytest.mark.alone
def test_an_installed_wheel_brings_templates_assets_and_scripts(tmp_path):
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(source)], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), *map(str, wheels.glob("*.whl"))], check=True)

    environ = {"PYTHONPATH": str(site), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", PROJECT], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    module, template, asset, script, command = told.splitlines()
    assert all(Path(path).is_relative_to(site) for path in (module, template, asset))
    assert script.endswith(".lua")
    assert command == "django.core"  # the project's own, not hidden by one of the app's
