"""Settings that would lose statuses are told when Django starts."""

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.core import checks as django_checks
from django.core.checks import Tags
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

import statuses
from statuses import checks
from statuses.apps import KEYS

REDIS = "django_redis.cache.RedisCache"
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


def cache(location, backend=REDIS, **options):
    return {"BACKEND": backend, "LOCATION": location, **options}


def found(jobadmin, caches, **more):
    with override_settings(JOBADMIN=jobadmin, CACHES={"default": LOCAL, **caches}, **more):
        return checks.check_settings(KEYS)


def ids(messages):
    return [message.id for message in messages]


def test_a_cache_of_ones_own_is_fine():
    caches = {"jobs": cache("redis://localhost/1"), "default": cache("redis://localhost/0"), "other": cache("redis://elsewhere/1")}

    assert found({"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": "jobadmin.resolver.Resolver"}, caches) == []
    assert found({"URL": "redis://localhost"}, {}) == []


def test_an_unknown_setting_is_named_with_the_nearest_known_one():
    (message,) = found({"CACHE": "jobs", "RETENTON": {}}, {"jobs": cache("redis://localhost/1")})

    assert (message.id, message.hint) == ("statuses.E001", "Did you mean 'RETENTION'?")
    assert "RETENTON" in message.msg


def test_a_setting_in_small_letters_is_named_too():
    (message,) = found({"CACHE": "jobs", "namespace": "x"}, {"jobs": cache("redis://localhost/1")})

    assert message.hint == "Did you mean 'NAMESPACE'?"


def test_an_alias_that_is_not_there_is_named_with_the_nearest_one():
    (message,) = found({"CACHE": "job"}, {"jobs": cache("redis://localhost/1")})

    assert (message.id, message.hint) == ("statuses.E002", "Did you mean 'jobs'?")


@pytest.mark.parametrize(
    "backend", ["django.core.cache.backends.redis.RedisCache", "django.core.cache.backends.dummy.DummyCache", "nowhere.X"]
)
def test_a_cache_of_another_kind_is_refused(backend):
    assert ids(found({"CACHE": "jobs"}, {"jobs": cache("redis://localhost/1", backend)})) == ["statuses.E003"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://localhost/1", "redis://localhost/1"),
        ("redis://localhost", "redis://127.0.0.1:6379/0"),
        ("redis://user:pw@host:1/2", "rediss://host:1?db=2"),
        ("unix:///run/redis.sock?db=1", "unix://user@/run/redis.sock?db=1"),
        (["redis://a/1", "redis://b/1"], "redis://a/1"),
    ],
)
def test_a_cache_that_another_cache_would_flush_is_refused(one, other):
    assert ids(found({"CACHE": "jobs"}, {"jobs": cache(one), "pages": cache(other)})) == ["statuses.E004"]


@pytest.mark.parametrize(
    "other", ["redis://localhost/2", "redis://localhost:6380/1", "redis://elsewhere/1", "unix:///run/redis.sock?db=1", None]
)
def test_another_database_or_server_is_no_such_cache(other):
    assert found({"CACHE": "jobs"}, {"jobs": cache("redis://localhost/1"), "pages": cache(other)}) == []


def test_the_cache_that_everything_uses_is_warned_of():
    (message,) = found({}, {"default": cache("redis://localhost/1")})

    assert message.id == "statuses.W001"
    assert "FLUSHDB" in message.msg


@pytest.mark.parametrize(
    "more",
    [
        {"SESSION_ENGINE": "django.contrib.sessions.backends.cached_db", "SESSION_CACHE_ALIAS": "jobs"},
        {"CACHE_MIDDLEWARE_ALIAS": "jobs", "MIDDLEWARE": ["django.middleware.cache.UpdateCacheMiddleware"]},
    ],
)
def test_a_cache_of_sessions_or_pages_is_warned_of(more):
    assert ids(found({"CACHE": "jobs"}, {"jobs": cache("redis://localhost/1")}, **more)) == ["statuses.W001"]


def test_clear_of_a_cache_in_the_same_database_does_take_the_statuses(server_url, store):
    """What the checks warn of, seen."""
    from django.core.cache import caches

    with override_settings(CACHES={"default": LOCAL, "jobs": cache(server_url)}):
        statuses.create()
        caches["jobs"].clear()

    assert statuses.all().count() == 0


@pytest.mark.parametrize(
    ("policy", "memory", "expected"),
    [
        ("noeviction", 0, []),
        ("volatile-lru", 10**9, ["statuses.I001"]),
        ("allkeys-lru", 10**9, ["statuses.E005"]),
        ("allkeys-random", 0, ["statuses.W002"]),
    ],
)
def test_a_server_that_may_drop_statuses_is_refused(other_server, policy, memory, expected):
    with redis.Redis.from_url(other_server.url) as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", memory)
    statuses.configure(url=other_server.url, namespace="p")

    assert ids(checks.check_policy()) == expected
    assert statuses.ping()["policy"] == policy


def test_a_store_that_is_away_does_not_keep_django_from_starting(tmp_path):
    statuses.configure(url=f"unix://{tmp_path}/nowhere")

    assert checks.check_policy() == []


@pytest.mark.django_db  # since Django 6 all checks together ask the database what it can do
def test_django_runs_the_checks_and_the_demo_project_passes_them(store):
    with override_settings(JOBADMIN={"NAMESPCE": "x"}):
        assert "statuses.E001" in ids(django_checks.run_checks(tags=[Tags.caches]))

    assert [message for message in django_checks.run_checks() if message.id.startswith("statuses.")] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"CACHE": "nowhere"}, ["statuses.E002"]),
        ({"CACHE": "default"}, ["statuses.E003"]),
        ({}, ["statuses.E003"]),
        ({"CACHE": "jobs", "RESOLVER": "nobody.knows.This"}, ["statuses.E006"]),
        ({"CACHE": "jobs", "REDACT": "secret"}, ["statuses.E007"]),
        ({"CACHE": "jobs", "REDACT": ["iban"], "RESOLVER": "jobadmin.resolver.Resolver"}, []),
    ],
)
def test_what_the_first_page_would_find_out_is_told_when_django_starts(store, given, expected):
    with override_settings(JOBADMIN=given):
        assert ids(django_checks.run_checks(tags=[Tags.caches])) == expected


def test_a_dashboard_without_its_service_is_told():
    from jobadmin.apps import _check_apps

    with override_settings(INSTALLED_APPS=[name for name in settings.INSTALLED_APPS if name != "statuses"]):
        assert [error.id for error in _check_apps(None)] == ["jobadmin.E001"]
    assert _check_apps(None) == []


@pytest.mark.parametrize("url", ["foo", "http://localhost", "localhost:6379", "redis:/x"])
def test_an_address_of_something_else_is_refused_at_once(url):
    with pytest.raises(statuses.ConfigurationError, match="url must begin with redis://"):
        statuses.configure(url=url)


def test_settings_that_are_no_mapping_are_refused_by_name():
    config = apps.get_app_config("statuses")

    with override_settings(JOBADMIN=[]), pytest.raises(ImproperlyConfigured, match="JOBADMIN must be a mapping"):
        config.ready()
