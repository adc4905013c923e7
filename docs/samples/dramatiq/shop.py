"""A shop with two jobs: one that does its work, one that cannot."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import statuses
from statuses.engines import dramatiq as tracking

URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
broker = RedisBroker(url=URL)
dramatiq.set_broker(broker)

statuses.configure(url=URL)
tracking.install(broker)


@dramatiq.actor
def ship(order):
    return f"{order} is on its way"


@dramatiq.actor(max_retries=0)
def refund(order):
    raise ValueError(f"{order} was never paid")
