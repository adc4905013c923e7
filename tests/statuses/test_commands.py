"""Nothing newer than Redis 6.2: every command and option, as it goes over the line and as scripts call it."""

import ast
import re
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
import redis

import statuses
from statuses import health, pauses, presence, sampling, upkeep
from statuses.lua import source
from statuses.store import current
from statuses.testing import frozen_clock, make_status
from tests.statuses import naive, test_lost_replies
from tests.statuses.test_query_against_naive import check

SOURCES = Path(statuses.__file__).parent

#: Command -> the version of Redis that has it, as it is used here (several fields of HSET at once: 4.0), and the words
#: that may stand as options behind it.
COMMANDS: dict[str, tuple[str, set[str]]] = {
    "APPEND": ("2.0.0", set()),
    "CONFIG GET": ("2.0.0", set()),
    "EVALSHA": ("2.6.0", set()),
    "EXEC": ("1.2.0", set()),
    "EXISTS": ("3.0.3", set()),
    "GET": ("1.0.0", set()),
    "GETRANGE": ("2.4.0", set()),
    "HDEL": ("2.4.0", set()),
    "HGET": ("2.0.0", set()),
    "HGETALL": ("2.0.0", set()),
    "HKEYS": ("2.0.0", set()),
    "HLEN": ("2.0.0", set()),
    "HMGET": ("2.0.0", set()),
    "HSCAN": ("2.8.0", {"COUNT"}),
    "HSET": ("4.0.0", set()),
    "INCR": ("1.0.0", set()),
    "HVALS": ("2.0.0", set()),
    "INFO": ("1.0.0", set()),
    "LINDEX": ("1.0.0", set()),
    "LLEN": ("1.0.0", set()),
    "LRANGE": ("1.0.0", set()),
    "LSET": ("1.0.0", set()),
    "MEMORY USAGE": ("4.0.0", set()),
    "MGET": ("1.0.0", set()),
    "MULTI": ("1.2.0", set()),
    "PING": ("1.0.0", set()),
    "RENAME": ("1.0.0", set()),
    "RPUSH": ("2.4.0", set()),
    "SCAN": ("2.8.0", {"MATCH", "COUNT"}),
    "SCRIPT LOAD": ("2.6.0", set()),
    "SET": ("1.0.0", set()),
    "SETNX": ("1.0.0", set()),
    "SETRANGE": ("2.2.0", set()),
    "STRLEN": ("2.2.0", set()),
    "TIME": ("2.6.0", set()),
    "UNLINK": ("4.0.0", set()),
    "ZADD": ("2.4.0", set()),
    "ZCARD": ("1.2.0", set()),
    "ZRANGE": ("1.2.0", set()),
    "ZRANGEBYSCORE": ("1.0.5", {"LIMIT"}),
    "ZREM": ("2.4.0", set()),
}
#: What redis-py says when it connects: older servers refuse it, and it takes no notice.
GREETINGS = {"HELLO", "CLIENT SETINFO", "CLIENT MAINT_NOTIFICATIONS", "SELECT", "AUTH"}
#: Every option word of the commands above, up to the newest server; no text of ours is written like one.
OPTIONS = {"NX", "XX", "GT", "LT", "CH", "INCR", "GET", "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "IFEQ", "MATCH", "COUNT", "TYPE", "NOVALUES"}
OPTIONS |= {"BYSCORE", "BYLEX", "REV", "LIMIT", "WITHSCORES", "FIELDS", "FNX", "FXX", "PERSIST"}
#: Commands whose further words are texts, not options.
TEXTS = {"HSET", "HGET", "HMGET", "HDEL", "RPUSH", "LSET", "APPEND", "EVALSHA", "SCRIPT LOAD"}


@contextmanager
def monitored(url):
    """Every command the server sees meanwhile, scripts' own too, as lists of words."""
    seen: list[list[str]] = []
    watcher, teller = redis.Redis.from_url(url), redis.Redis.from_url(url)
    connection = watcher.connection_pool.get_connection()
    connection.send_command("MONITOR")
    assert connection.read_response() in (b"OK", "OK")

    def listen():
        while True:
            line = connection.read_response()
            text = line.decode("latin-1") if isinstance(line, bytes) else line
            words = re.findall(r'"((?:[^"\\]|\\.)*)"', text.split("]", 1)[1][:20_000])
            if words[:2] == ["ECHO", "that is all"]:
                return
            seen.append(words)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield seen
    finally:
        teller.execute_command("ECHO", "that is all")
        listener.join()
        connection.disconnect()


def name_of(words):
    first = words[0].upper()
    return f"{first} {words[1].upper()}" if first in ("SCRIPT", "CLIENT", "CONFIG", "CLUSTER", "MEMORY") else first


def everything(url):
    """All that the library does, and what it does where something is broken."""
    with frozen_clock() as frozen:
        world = naive.World(Random(3), frozen)
        for _ in range(3):
            world.live(60)
            terms = naive.random_terms(world.random, world.jobs())
            check(world.random, naive.matching(world.jobs(), terms), naive.query(terms), terms)
        frozen.tick(timedelta(days=400))
        for _ in range(3):
            statuses.clean()
    for _, prepare, act in test_lost_replies.VERBS.values():
        statuses.clear_all()
        act(prepare())
    statuses.ping(), health.examine(), statuses.server_time(), statuses.all().values("job_name"), statuses.find_by(id="nobody")
    status = make_status("started")
    statuses.scripts.heartbeats(current(), [status._place()])
    presence.tell("celery", "w1", {"pid": 1})
    presence.reports("celery")
    presence.order("celery", "w1", "stop")
    presence.leave("celery", "w1")
    sampling.sample()
    upkeep.chores()
    sampling.depths(["mail"], timedelta(hours=24), timedelta(minutes=5))
    pauses.pause("celery", "mail")
    pauses.paused("celery")
    pauses.resume("celery", "mail")
    with redis.Redis.from_url(url) as client:
        for key in [*client.scan_iter(match=f"{current().families[0]}*j*"), *client.scan_iter(match=f"{current().families[0]}names*")]:
            client.delete(key)
    statuses.check(repair=True)
    statuses.clear_all()


def test_every_command_and_option_that_is_sent_exists_in_redis_6_2(other_server):
    statuses.configure(url=other_server.url, namespace="monitored")

    with monitored(other_server.url) as seen:
        everything(other_server.url)

    sent = {}
    for words in seen:
        sent.setdefault(name_of(words), set()).update(() if name_of(words) in TEXTS else OPTIONS & {w.upper() for w in words[2:]})
    ours = {name: options for name, options in sent.items() if name not in GREETINGS and name not in ("DEL", "ECHO")}
    assert len(ours) > 30
    assert set(ours) <= set(COMMANDS)
    assert {name: options - COMMANDS[name][1] for name, options in ours.items() if options - COMMANDS[name][1]} == {}


def test_no_command_in_the_sources_is_missing_from_the_list():
    """Whatever the scenario above leaves out."""
    found = set()
    for name in source.names():
        text = re.sub(r"--.*", "", source.text(name))
        called = re.findall(r"\bcall\(\s*(\S)", text)
        named = re.findall(r"\bcall\('([A-Z]+)'", text)
        # A repair's commands come from Python, where they are spelled.
        assert len(called) - len(named) == (name == "repair"), f"{name}.lua calls a command that is not spelled"
        found |= set(named)
    for path in SOURCES.rglob("*.py"):
        if "engines" not in path.parts and path.name not in ("embedded.py", "checks.py", "apps.py"):
            found |= {*spelled(ast.parse(path.read_text()))}

    # The last three are verbs of a repair (`lua/repair.lua`).
    assert found <= set(COMMANDS) | {"SCRIPT", "CONFIG", "MEMORY", "DBSIZE"} | {"DROP", "LENGTH", "POINT"}, found - set(COMMANDS)
    assert set(COMMANDS) - found <= {"EXEC", "MULTI", "CONFIG GET", "MEMORY USAGE"}, "the list names what nobody sends"


def spelled(tree):
    """Words in capitals that stand first in a tuple, or in a call: how commands are written."""
    for node in ast.walk(tree):
        parts = node.elts if isinstance(node, ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        if parts and isinstance(parts[0], ast.Constant) and isinstance(parts[0].value, str):
            word = parts[0].value
            if re.fullmatch(r"[A-Z]{3,}( [A-Z]+)?", word) and word not in ("MATCH", "COUNT"):
                yield word


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_holds_nothing_newer(name):
    assert tuple(map(int, COMMANDS[name][0].split("."))) < (6, 3)
