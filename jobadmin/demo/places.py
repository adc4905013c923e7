"""Where the demo keeps what it writes. No Django: the worker does without."""

import os
from pathlib import Path

from .environment import ROOT

#: Everything a run writes: database, server, logs, reports; the same as settings.VAR_DIR.
VAR = Path(os.environ.get("JOBADMIN_VAR") or ROOT / "var").resolve()
LOGS = VAR / "logs"
REPORTS = VAR / "reports"
SEARCH_INDEX = VAR / "search.sqlite3"
