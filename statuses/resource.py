"""What a job works on: `"Type:id"` texts, from strings and model instances."""

from collections.abc import Mapping
from typing import Any

from . import encoding
from .arguments import shown


def resource(value: object, argument: str) -> str:
    """A string as it is, a model instance as `"app_label.Model:pk"`. TypeError naming `argument` for anything else."""
    meta = getattr(value, "_meta", None)
    label = getattr(meta, "label", None)
    if isinstance(label, str) and hasattr(value, "pk"):
        key = value.pk
        if key is None:
            raise ValueError(f"{argument} is a {label} that was never saved: it has no key to be found by")
        return encoding.encodable(f"{label}:{key}", argument)
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a text such as 'Book:53' or a model instance, not {type(value).__name__}")
    text = encoding.text(value, argument)
    assert text is not None
    return text


def normalise(job_args: object) -> dict[str, Any]:
    """Argument name -> resource or list of resources. TypeError/ValueError naming the argument."""
    if job_args is None:
        return {}
    if not isinstance(job_args, Mapping):
        raise TypeError(f"job_args must map argument names to resources, not be a {type(job_args).__name__}")
    kept: dict[str, Any] = {}
    for name, value in job_args.items():
        if not isinstance(name, str):
            raise TypeError(f"job_args has a name that is no string: {shown(name)}")
        encoding.encodable(name, "a name in job_args")
        where = f"job_args[{shown(name)}]"
        kept[name] = [resource(v, where) for v in value] if isinstance(value, list | tuple) else resource(value, where)
    return kept


def texts(job_args: Mapping[str, Any]) -> list[str]:
    """Every different resource of normalised `job_args`, in order."""
    found: dict[str, None] = {}
    for value in job_args.values():
        for text in value if isinstance(value, list) else [value]:
            found[text] = None
    return list(found)
