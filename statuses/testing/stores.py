"""An empty store, and back to the configured one."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from .. import collection, store
from ..config import Config
from ..embedded import temporary_server
from ..errors import ConfigurationError, StoreUnavailable
from ..removal import erase


@contextmanager
def private_store(**settings: Any) -> Generator[Config]:
    """Inside the block `statuses` works on an empty store; afterwards on what was configured before. The configuration in between.

    `settings` as `statuses.configure`. Without `url` or `client` a server is started for the block, and nothing of it is
    kept; with one, a namespace of its own is made up there, and erased afterwards. Raises: ConfigurationError when that is given."""
    if not settings.keys() & {"url", "client"}:
        with temporary_server() as server, store.set_aside():
            yield collection.configure(**settings, url=server.url)
        return
    if "namespace" in settings:
        raise ConfigurationError("namespace is made up on a server that was given: what stands there already shall not be cleared")
    with store.set_aside():
        made = collection.configure(**settings, namespace=f"test-{uuid4().hex[:12]}")
        try:
            yield made
        finally:
            # Whatever else was configured meanwhile may be somebody's.
            if store.current().config is made:
                with suppress(StoreUnavailable):
                    erase(store.current())
