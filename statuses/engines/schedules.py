"""What adapters share that tell of periodic jobs."""

from collections.abc import Collection
from datetime import datetime

from .. import collection


def last_runs(job_names: Collection[str]) -> dict[str, datetime]:
    """When the newest job of each name was recorded, of those that have one: what an engine that keeps no record of its
    schedules goes by. Whoever sent it counts.  Source: one count by name, none where there are no names.  Raises: StoreUnavailable."""
    if not job_names:
        return {}
    found = collection.where(job_name=sorted(set(job_names))).counts_by("job_name", None)
    return {facet.value: facet.last for facet in found}
