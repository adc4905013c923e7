"""The engines this process knows, by the name that `Status.engine` holds."""

from .base import Engine

_engines: dict[str, Engine] = {}


def register(engine: Engine) -> Engine:
    """Let `get` find the engine; one that had its name before is replaced."""
    if not engine.name:
        raise ValueError(f"{type(engine).__name__} has no name")
    _engines[engine.name] = engine
    return engine


def unregister(name: str) -> None:
    """Forget an engine; nothing happens when there is none of this name."""
    _engines.pop(name, None)


def get(name: str | None) -> Engine | None:
    """The engine of this name, None when this process did not install it."""
    return _engines.get(name) if name else None


def all() -> list[Engine]:
    """Every engine this process installed, by name."""
    return [_engines[name] for name in sorted(_engines)]
