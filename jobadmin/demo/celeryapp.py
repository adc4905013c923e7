"""The demo's Celery app, tracked by one line. Broker and results live on the server that keeps the statuses."""

import logging
import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celery import Celery, signals
from celery.schedules import crontab

from statuses.embedded import external_url, socket_url
from statuses.engines import celery as tracking

from .places import VAR

QUEUES = ("default", "bulk", "reports")
#: Which queue a job goes to, by its name; the others go to `default`.
ROUTES = {
    "packages.hash_file": {"queue": "bulk"},
    "packages.count_lines": {"queue": "bulk"},
    "packages.compile_source": {"queue": "bulk"},
    "packages.read_text": {"queue": "bulk"},
    "packages.verify_all": {"queue": "reports"},
    "search.rebuild": {"queue": "reports"},
    "reports.*": {"queue": "reports"},
    "catalogue.*": {"queue": "reports"},
    "jobs.*": {"queue": "reports"},
}
#: Who sends what beat sends.
NIGHTLY = {"headers": {"user": "nightly"}}
#: Seconds after which the broker hands out again what a killed worker held; longer than any job of the demo.
VISIBILITY_SECONDS = 180
#: Keys of broker and results, apart from those of the statuses and of anybody else on a server that is shared.
KEY_PREFIX = "demo-celery:"


def broker_url(url: str) -> str:
    """The address of a server as Celery spells it: `unix:///path?db=1` becomes `redis+socket:///path?virtual_host=1`."""
    if not url.startswith("unix://"):
        return url
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"


def _configure(app: Celery, url: str) -> None:
    secure: dict[str, Any] | None = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss://") else None
    app.conf.update(
        broker_url=broker_url(url),
        result_backend=broker_url(url),
        broker_use_ssl=secure,
        redis_backend_use_ssl=secure,
        broker_transport_options={"global_keyprefix": KEY_PREFIX, "visibility_timeout": VISIBILITY_SECONDS},
        result_backend_transport_options={"global_keyprefix": KEY_PREFIX},
        broker_connection_retry_on_startup=True,
        result_expires=600,
        task_default_queue="default",
        task_routes=ROUTES,
        # A job that was running when the demo was ended runs again at the next start, as its next attempt.
        task_acks_late=True,
        beat_schedule={
            "room on the disk": {"task": "reports.disk", "schedule": 60.0, "options": NIGHTLY},
            "clean every hour": {"task": "jobs.clean", "schedule": crontab(minute="17"), "options": NIGHTLY},
        },
        beat_schedule_filename=str(VAR / "beat"),
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=1.0,
        worker_enable_remote_control=True,
        worker_pool_restarts=True,
        worker_send_task_events=False,
        # A page that retries a job must not wait for a broker that is away.
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
    )


def store_url() -> str:
    """Where the statuses of the demo are kept."""
    return external_url() or socket_url(VAR / "server")


app = Celery("jobadmin.demo", include=["jobadmin.demo.tasks", "jobadmin.demo.long_tasks", "jobadmin.demo.catalogue"])
_configure(app, store_url())
tracking.install(app)


@signals.after_setup_logger.connect
def _keep_the_log_short(**_: object) -> None:
    # Failures are on the page, with their tracebacks; the log need not say them again, day after day.
    logging.getLogger("celery.app.trace").setLevel(logging.CRITICAL)
