"""The demo's jobs do what they say, and its traffic is as much as was promised."""

import random
from pathlib import Path

import pytest

from jobadmin.demo import catalogue, celeryapp, long_tasks, packages, tasks, traffic


def test_a_file_is_hashed_as_its_record_says():
    django = packages.find("Package:django")
    path, expected = next(long_tasks._recorded(django))

    assert long_tasks._digest(django, path) == expected
    assert tasks.hash_file("Package:django", path)["bytes"] == len(django.read(path))


def test_what_does_not_parse_fails():
    with pytest.raises(SyntaxError):
        tasks.compile_source("Package:django", "django/conf/app_template/apps.py-tpl")


def test_what_is_no_text_fails():
    catalogue = next(path for path in packages.find("Package:django").files if path.endswith(".mo"))

    with pytest.raises(UnicodeDecodeError):
        tasks.read_text("Package:django", catalogue)


def test_an_empty_file_has_no_share_of_comments():
    with pytest.raises(ZeroDivisionError):
        tasks.count_lines("Package:django", "django/conf/locale/de/__init__.py", "Module:django.conf.locale.de")


def test_a_driver_that_is_not_installed_is_missed():
    with pytest.raises(ModuleNotFoundError, match="MySQLdb"):
        tasks.check_imports("Package:django", "django/db/backends/mysql/base.py", "Module:django.db.backends.mysql.base")


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(LookupError, match="'nothing' is not installed"):
        packages.find("Package:nothing")


def test_a_module_is_named_as_it_is_imported():
    assert packages.module_of("django/http/__init__.py") == "Module:django.http"
    assert packages.module_of("six.py") == "Module:six"


def test_a_catalogue_knows_what_changed_since_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "REPORTS", tmp_path)
    paths = packages.find("Package:django").ending_in(packages.SOURCES)[:3]
    hashes = [tasks.hash_file("Package:django", path) for path in paths]
    words = tasks.read_text("Package:django", paths[0])

    first = catalogue.compare(catalogue.write([*hashes, words], package="Package:django"))
    hashes[0]["sha256"] = "another"
    second = catalogue.sign(catalogue.compare(catalogue.write(hashes, package="Package:django")))

    assert (first["files"], first["words"], first["known"], first["changed"]) == (3, words["words"], 0, [])
    assert (second["known"], second["changed"], len(second["sha256"])) == (3, [paths[0]], 64)


def test_the_catalogue_is_a_chain_with_its_files_side_by_side():
    found = catalogue.workflow("Package:django", [f"{n}.py" for n in range(60)])

    first, files = found.tasks[:2]
    assert first.task == "catalogue.choose"
    assert len(files.tasks) == catalogue.MOST_HASHED + catalogue.MOST_READ


def test_the_rush_brings_two_thousand_jobs_in_two_minutes_and_a_trickle_follows():
    after_ten, after_two_minutes = traffic.due(10, 0), traffic.due(120, 0)
    in_the_next_hundred = traffic.due(220, after_two_minutes)

    assert after_ten >= 200
    assert after_two_minutes >= 2300
    assert 100 <= in_the_next_hundred <= 300


def test_the_same_chance_sends_the_same_jobs(monkeypatch):
    sent: list[tuple[object, ...]] = []
    for name in ("hash_file", "count_lines", "compile_source", "read_text", "check_imports"):
        monkeypatch.setattr(getattr(tasks, name), "delay", lambda *call, name=name: sent.append((name, *call)))

    for _ in range(2):
        rng = random.Random(7)
        for _, _, send in traffic.SHORT * 5:
            send(rng)

    assert sent[: len(sent) // 2] == sent[len(sent) // 2 :]
    assert all(Path(packages.find(str(call[1])).root, str(call[2])).is_file() for call in sent)


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("unix:///a%20b/s.sock", "redis+socket:///a%20b/s.sock?virtual_host=0"),
        ("unix://:secret@/s.sock?db=3", "redis+socket://:secret@/s.sock?virtual_host=3"),
        ("rediss://:p@host:1/2", "rediss://:p@host:1/2"),
    ],
)
def test_the_broker_is_where_the_statuses_are(url, spelled):
    assert celeryapp.broker_url(url) == spelled
