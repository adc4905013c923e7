"""What the first page would wait for, done while its process starts."""

from pathlib import Path

from django.template.loader import get_template
from django.urls import get_resolver

import statuses


def warm() -> None:
    """Load the URLs with their views, the reader of the store with numpy, and every template of the dashboard: for ``wsgi.py``,
    after ``get_wsgi_application()``. Asks the store nothing; a process that serves no page does without."""
    statuses.preload()
    _ = get_resolver().url_patterns
    root = Path(get_template("jobadmin/base.html").origin.name).parent
    for path in sorted(root.rglob("*.html")):
        get_template(f"jobadmin/{path.relative_to(root).as_posix()}")
