"""Settings of the project that shows the dashboard: the demo, and the tests.

Someone else's project needs none of this: two apps, one include, one setting (see README).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from statuses.embedded import socket_url

BASE_DIR = Path(__file__).resolve().parent.parent

#: Everything a run writes: database, secret, the embedded server's socket and files.
VAR_DIR = Path(os.environ.get("JOBADMIN_VAR") or BASE_DIR / "var")
VAR_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)


def _kept_secret(path: Path) -> str:
    """The secret of this installation, made at the first start and the same ever after.

    Web and worker processes may start together: whoever creates the file decides.
    """
    if not path.exists():
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.touch(mode=0o600)
        own.write_text(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
        own.unlink()
    return path.read_text()


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or _kept_secret(VAR_DIR / "secret_key")
DEBUG = os.environ.get("JOBADMIN_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("JOBADMIN_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_tables2",
    "statuses",
    "jobadmin",
]
# The demo's engine; tests bring their own.
if os.environ.get("JOBADMIN_DEMO") != "0":
    INSTALLED_APPS.append("jobadmin.demo")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "jobadmin.middleware.ContentPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "jobadmin.site"
WSGI_APPLICATION = "jobadmin.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

#: Backends of Django by the scheme of an address.
_BACKENDS = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}


def _database(url: str) -> dict[str, Any]:
    """The database of an address, `postgresql://user:password@host:port/name?option=value`; none: a file of SQLite."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            # Several web threads and the bulk runner write: wait for the lock, take it at once.
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
            # A file in tests, too: pages and the bulk runner are threads with connections of their own.
            "TEST": {"NAME": VAR_DIR / "test.sqlite3"},
        }
    parts = urlsplit(url)
    if parts.scheme not in _BACKENDS:
        raise ImproperlyConfigured(f"DATABASE_URL must begin with {', '.join(f'{name}://' for name in _BACKENDS)}, not {parts.scheme!r}")
    return {
        "ENGINE": f"django.db.backends.{_BACKENDS[parts.scheme]}",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "OPTIONS": dict(parse_qsl(parts.query)),
        # Several runs of the tests may use one server.
        "TEST": {"NAME": f"test_{VAR_DIR.name}".replace("-", "_")},
    }


DATABASES = {"default": _database(os.environ.get("DATABASE_URL", ""))}

#: Where the statuses are kept: the server named by the environment, else the embedded one.
REDIS_URL = os.environ.get("REDIS_URL") or socket_url(VAR_DIR / "server")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # An alias of their own: the clear() of a cache of django-redis is a FLUSHDB.
    "jobs": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 2},
    },
}
JOBADMIN = {"CACHE": "jobs", "NAMESPACE": "jobs"}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
CSRF_FAILURE_VIEW = "jobadmin.views.failures.csrf_failure"

LANGUAGE_CODE = "en"
TIME_ZONE = os.environ.get("JOBADMIN_TIME_ZONE") or "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns where it is missing
STATICFILES_DIRS = [BASE_DIR / "static"]
#: Static files are served from where they lie: no collecting step before the first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
