"""A shop with two tasks: one that does its work, one that cannot."""

import os

from celery import Celery

import statuses
from statuses.engines import celery as tracking

URL = os.environ.get("REDIS_URL", "redis://localhost:6379")

# Celery has a scheme of its own for a Redis on a socket.
app = Celery("shop", broker=URL.replace("unix://", "redis+socket://"))
app.conf.task_default_queue = "shop"

statuses.configure(url=URL)
tracking.install(app)


@app.task
def ship(order):
    return f"{order} is on its way"


@app.task
def refund(order):
    raise ValueError(f"{order} was never paid")
