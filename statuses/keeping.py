"""Jobs that are kept until the model instance they work on is deleted.

Such a job says in its hash which resource that is, and is kept for ever until somebody says that the resource is gone:
`statuses.apps` does, for every model of a Django project. Labels of models that any job ever waited for stand in the
store, so that the deletion of anything else costs nothing."""

import time
import weakref
from collections.abc import Iterable
from typing import Any

from . import forks, keys, resource, scripts
from .errors import StatusNotFound, StoreUnavailable
from .store import Store, current

#: Start of the fields of meta that name a label.
_FIELD = "until:"
#: Seconds for which a process believes what it read of the labels.
BELIEVED = 5.0
#: Resources one question asks for.
STEP = 500

_lock = forks.lock()
_labels: "weakref.WeakKeyDictionary[Store, tuple[float, frozenset[str]]]" = weakref.WeakKeyDictionary()


def label_of(text: str) -> str:
    """The model of a resource: what stands before its first colon."""
    return text.partition(":")[0]


def wait_for(store: Store, text: str) -> None:
    """Write down that jobs wait for a resource of this label. A round trip for the first of a label in this process."""
    label = label_of(text)
    _, known = _labels.get(store, (0.0, frozenset()))
    if label not in known:
        store.pipeline([("HSET", keys.meta(store.families[0]), _FIELD + label, 1)], primary=True)
        with _lock:
            at, known = _labels.get(store, (0.0, frozenset()))
            _labels[store] = at, known | {label}


def is_awaited(text: str) -> bool:
    """Whether any job ever waited for a resource of this label. Source: one HKEYS in five seconds."""
    store, now = current(), time.monotonic()
    read_at, known = _labels.get(store, (0.0, frozenset()))
    if not read_at or now - read_at > BELIEVED:
        # Noted before the question, and again where none came: while the store is away, only one deletion in five seconds waits for it,
        # however long that is.
        with _lock:
            _labels[store] = now, known
        try:
            fields = store.pipeline([("HKEYS", keys.meta(store.families[0]))], primary=True)[0]
        except StoreUnavailable:
            with _lock:
                _labels[store] = time.monotonic(), known
            raise
        known = frozenset(name.decode()[len(_FIELD) :] for name in fields if name.startswith(_FIELD.encode()))
        with _lock:
            _labels[store] = now, known
    return label_of(text) in known


def release(*resources: Any) -> int:
    """Give jobs back to the retention policy that were kept until one of `resources` (model instances or their texts) is
    deleted; how many. Call it where a deletion sends no signal. Cost: a query, and a write a job."""
    from .query import Query

    texts = list(dict.fromkeys(resource.resource(one, "resource") for one in resources))
    store, count = current(), 0
    for part in _parts([text for text in texts if is_awaited(text)]):
        for status in Query().where(job_arg=part):
            waits_for = status.kept_until_deleted
            if waits_for in part:
                try:
                    count += scripts.label(store, status._place(), status.id, {}, None, waits_for)
                except StatusNotFound:
                    continue
    return count


def _parts(texts: list[str]) -> Iterable[list[str]]:
    return (texts[first : first + STEP] for first in range(0, len(texts), STEP))
