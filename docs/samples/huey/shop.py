"""A shop with two jobs: one that does its work, one that cannot."""

import os

from huey import RedisHuey

import statuses
from statuses.engines import huey as tracking

URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
huey = RedisHuey("shop", url=URL)

statuses.configure(url=URL)
tracking.install(huey)


@huey.task()
def ship(order):
    return f"{order} is on its way"


@huey.task()
def refund(order):
    raise ValueError(f"{order} was never paid")
