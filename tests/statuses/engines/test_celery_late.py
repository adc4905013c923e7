"""A header that is there before its status is: whoever looks waits, once, and sees a plain dict."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from kombu.utils.json import dumps

from statuses.engines.celery.late import LateHeader
from statuses.engines.celery.messages import is_known

SAID = {"id": "ours", "task": "theirs", "attempt": 0}

LOOKS: dict[str, Callable[[Any], Any]] = {
    "json": lambda header: json.loads(json.dumps({"job_status": header}))["job_status"],
    "sorted json": lambda header: json.loads(json.dumps(header, sort_keys=True)),
    "json in python": lambda header: json.loads("".join(json.JSONEncoder(indent=1).iterencode(header))),
    "kombu": lambda header: json.loads(dumps({"job_status": header}))["job_status"],
    "pickle": lambda header: pickle.loads(pickle.dumps(header)),
    "deep copy": copy.deepcopy,
    "copy": lambda header: header.copy(),
    "dict": dict,
    "unpacked": lambda header: {**header},
    "items": lambda header: dict(header.items()),
    "united": lambda header: header | {},
    "the other way": lambda header: {} | header,
    "equal": lambda header: SAID if header == SAID else None,
    "got": lambda header: {name: header.get(name) for name in SAID},
    "indexed": lambda header: {name: header[name] for name in SAID},
    "in a loop": lambda header: {name: header[name] for name in header},
    "zipped": lambda header: dict(zip(header.keys(), header.values(), strict=True)),
    "said": lambda header: SAID if repr(header) == repr(SAID) else None,
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_what_arrived_and_waits_once(look: str) -> None:
    waits = []
    header = LateHeader(lambda: waits.append(1) or SAID)
    assert waits == []

    assert LOOKS[look](header) == SAID

    assert LOOKS[look](header) == SAID
    assert waits == [1]


@pytest.mark.parametrize("look", ["json", "kombu", "pickle", "dict"])
def test_a_header_whose_status_was_never_told_speaks_of_no_task(look: str) -> None:
    seen = LOOKS[look](LateHeader(lambda: None))

    assert seen == {}
    assert not is_known({"id": "theirs", "job_status": seen})
