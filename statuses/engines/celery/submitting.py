"""Which tasks of an app can be sent by their name."""

from __future__ import annotations

from typing import Any

from statuses import EngineCannot

from ... import forks
from .. import submitting

#: One at a time: who asks meanwhile waits for what is found.
_importing = forks.lock()
#: Celery's own tasks (`celery.map`, `celery.chord_unlock`) are no jobs of the project's.
_OWN = "celery."


def names(app: Any) -> list[str]:
    """The project's tasks, as far as this process has imported them."""
    return [name for name in app.tasks if not name.startswith(_OWN)]


def find(app: Any, name: str, engine: Any) -> Any:
    """The task of this name, None where there is none. The first time a name is missing, the modules with tasks are imported that the
    app names or discovers, as a worker does it.  Raises: EngineCannot where one of them cannot be."""
    if name.startswith(_OWN):
        return None
    if name not in app.tasks and not engine.has_imported:
        with _importing:
            _import(app, name, engine)
    return app.tasks.get(name)


def _import(app: Any, name: str, engine: Any) -> None:
    if engine.has_imported:
        return
    try:
        app.loader.import_default_modules()
    except Exception as error:  # whatever a module of the project raises
        raise EngineCannot(name, engine.name, submitting.ACTION, f"its modules cannot be imported here: {error}") from error
    engine.has_imported = True
