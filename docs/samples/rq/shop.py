"""A shop with two jobs: one that does its work, one that cannot."""

import os

from redis import Redis
from rq import Queue

import statuses
from statuses.engines import rq as tracking

URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
connection = Redis.from_url(URL)

statuses.configure(url=URL)
tracking.install(connection)
Job = tracking.Job

queue = Queue("shop", connection=connection, job_class=Job)


def ship(order):
    return f"{order} is on its way"


def refund(order):
    raise ValueError(f"{order} was never paid")
