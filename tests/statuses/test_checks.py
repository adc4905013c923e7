"""Settings that would lose statuses are told when Django starts."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.core import checks as django_checks
from django.core.checks import Tags
from django.test import override_settings

import statuses
from statuses import checks
from statuses import store as stores
from statuses.apps import KEYS, configure
from tests.servers import until
from tests.statuses.instances import instances
from tests.statuses.test_cluster import cluster, info, nodes  # noqa: F401

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


@pytest.mark.parametrize(
    ("refuse", "why"),
    [
        (lambda client: client.config_set("maxmemory", 1), "maxmemory"),
        (lambda client: client.replicaof("127.0.0.1", 1), "read only"),
        (lambda client: client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-evalsha"]), "no permissions"),
        (lambda client: client.config_set("requirepass", "secret"), "authenticated|Authentication"),
    ],
)
def test_a_server_that_is_there_and_takes_no_writes_is_warned_of(refuse, why):
    with instances() as make:
        server = make()
        statuses.configure(url=server.url, namespace="p")
        assert checks.check_policy() == []
        refuse(server.client())
        statuses.configure(url=server.url, namespace="p")

        (message,) = checks.check_policy()

    assert message.id == "statuses.W005"
    assert re.search(why, message.msg)


def test_a_node_of_a_cluster_that_may_drop_statuses_is_told_once_whichever_it_is(cluster):  # noqa: F811
    for node, policy in zip(cluster, ("noeviction", "allkeys-lru", "allkeys-lru"), strict=True):
        node.client().config_set("maxmemory-policy", policy)

    assert ids(checks.check_policy()) == ["statuses.W002"]


@pytest.mark.parametrize(("cluster", "expected"), [(False, ["statuses.W003"]), (True, [])])
def test_a_node_of_a_cluster_that_is_spoken_to_as_one_server_is_warned_of(cluster, expected):  # noqa: F811
    with instances() as make:
        node = make("--cluster-enabled", "yes")
        node.client().execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        until(lambda: "cluster_state:ok" in info(node, "INFO"), "a cluster")
        statuses.configure(url=f"redis://127.0.0.1:{node.port}", cluster=cluster, namespace="c")

        assert ids(checks.check_policy()) == expected


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
        ({"CACHE": 5}, ["statuses.E002"]),
        ({"CACHE": ["jobs"]}, ["statuses.E002"]),
        ({"CACHE": "jobs", 5: "x"}, ["statuses.E001"]),
        ({"CACHE": "jobs", "RESOLVER": "nobody.knows.This"}, ["statuses.E006"]),
        ({"CACHE": "jobs", "RESOLVER": "os.path.join"}, ["statuses.E006"]),
        ({"CACHE": "jobs", "RESOLVER": 5}, ["statuses.E006"]),
        ({"CACHE": "jobs", "REDACT": 5}, ["statuses.E007"]),
        ({"CACHE": "jobs", "REDACT": "secret"}, ["statuses.E007"]),
        ({"CACHE": "jobs", "KEEP_OPERATIONS": 180}, ["statuses.E010"]),
        ({"CACHE": "jobs", "KEEP_OPERATIONS": timedelta(hours=23)}, ["statuses.E010"]),
        ({"CACHE": "jobs", "KEEP_OPERATIONS": timedelta(days=1)}, []),
        ({"CACHE": "jobs", "KEEP_OPERATIONS": None}, []),
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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "it must be a mapping of settings, not a list"),
        ({"URL": "http://x"}, "url must begin with redis://"),
        ({"URL": "redis://x", "RETENTION": {"succeded": None}}, "did you mean 'succeeded'?"),
        ({"URL": "redis://x", "STALE_AFTER": 0}, "stale_after must be a positive timedelta"),
    ],
)
def test_what_is_refused_is_a_system_check_in_words_and_nothing_can_be_asked(given, words):
    before = stores.current().config
    try:
        (message,) = refused(given)

        assert message.id == "statuses.E008" and words in message.msg
        with pytest.raises(statuses.ConfigurationError, match="JOBADMIN: ") as asked:
            statuses.all().count()
        assert words in str(asked.value)
    finally:
        stores.use(before)
    assert stores.current().config is before


def refused(given):
    with override_settings(JOBADMIN=given):
        return checks.check_settings(KEYS, configure(given))


def test_a_process_of_django_with_wrong_settings_ends_without_a_traceback(tmp_path):
    (tmp_path / "wrong.py").write_text("from jobadmin.settings import *\nJOBADMIN = {'URL': 'redis://x', 'RETENTION': {'nme:x': None}}\n")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "wrong", "PYTHONPATH": f"{tmp_path}{os.pathsep}{settings.BASE_DIR}"}

    ended = subprocess.run([sys.executable, "-m", "django", "clean_jobs"], env=environment, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert "statuses.E008" in ended.stderr and "did you mean 'name:x'?" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_with_another_number_of_families_is_told_when_django_starts(server_url, store):
    statuses.configure(url=server_url, namespace="wide", families=4)
    ids_ = [statuses.create(id=f"own-{number}").id for number in range(8)] + [statuses.create().id for _ in range(8)]
    statuses.configure(url=server_url, namespace="wide")

    assert ids(checks.check_policy()) == ["statuses.E009"]
    for id in [*ids_, "nobody"]:
        # What is found is there; nothing is said not to be.
        with suppress(statuses.ConfigurationError):
            assert statuses.find(id).id == id
    for ask in (lambda: statuses.find("nobody"), lambda: statuses.at("nobody"), statuses.all().count, statuses.create):
        statuses.configure(url=server_url, namespace="wide")
        with pytest.raises(statuses.ConfigurationError, match="4 families"):
            ask()


@pytest.mark.parametrize(("version", "at", "expected"), [("7.2.0", "unix", True), ("7.2.0", "redis", False), ("8.1.0", "unix", False)])
def test_a_client_that_connects_to_no_socket_is_named_before_it_breaks(monkeypatch, version, at, expected):
    monkeypatch.setattr(checks.metadata, "version", lambda package: version)
    with instances() as make:
        server = make()
        url = server.url if at == "unix" else f"redis://127.0.0.1:{server.port}"
        statuses.configure(url=url, namespace="checks")
        with override_settings(JOBADMIN={"URL": url}):
            messages = checks.check_policy()

    assert ("statuses.W006" in ids(messages)) is expected
    assert all("redis-py 7.2.0 connects to no unix socket" in message.msg for message in messages if message.id == "statuses.W006")
