"""What stands in the documents is what the code has: every name, setting, key, clause, state and error."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import statuses
from statuses import apps, checks, clauses, config, errors, keys, testing
from statuses.columns import COLUMNS, DICTIONARIES, TAGS
from statuses.record import FIELDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
#: Function of `keys` -> how docs/redis.md writes the key it makes.
KEYS = {
    "meta": "{ns:f}meta", "codes": "{ns:f}names", "texts": "{ns:f}names:list", "presence": "{ns:0}presence", "presence_order": "{ns:0}presence:order",
    "orders": "{ns:0}presence:orders", "paused": "{ns:0}paused", "depth_at": "{ns:0}depth:at", "depth": "{ns:0}depth:<day>", "upkeep": "{ns:0}upkeep",
    "estimate": "{ns:0}estimate",
    "seals": "{ns:f}names:list:seals", "metrics": "{ns:f}metrics", "alias": "{ns:f}x:<own id>", "rows": "P n", "version": "P v", "zone": "P z", "tokens": "P w", "last_call": "P b",
    "numbers": "P rows", "job": "P j<row>", "long": "P l<row>", "data": "P d<row>", "call": "P k<row>", "errors": "P e<row>", "attempt": "P a<row>:<n>",
}  # fmt: skip
#: Those that make a part of other keys, or many at once: columns and postings are compared one by one below.
PARTS = {"family", "segment", "column", "posting", "frame", "of_rows", "depths"}


def words(name: str) -> set[str]:
    """The words that stand in code marks in a document."""
    marked = re.findall(r"`([^`\n]+)`", DOCS[name])
    return {word for text in marked for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", text)}


def public(owner: type) -> set[str]:
    named = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
    return named | {name for name in dir(owner) if not name.startswith("_")}


def test_every_public_name_is_documented():
    assert set(statuses.__all__) - words("reference.md") == set()


@pytest.mark.parametrize(
    "owner",
    ["Status", "Query", "Changed", "Cleaned", "FacetCount", "Durations", "Bin", "Bucket", "Report", "Checked", "Problem", "Version"],
)
def test_every_attribute_and_verb_is_documented(owner):
    known = public(getattr(statuses, owner))

    assert known - words("reference.md") == set()


def test_a_page_of_jobs_has_what_is_said_of_it():
    own = {name for name in vars(statuses.Statuses) if not name.startswith("_")}

    assert own - words("reference.md") == set()


def test_every_error_is_documented_as_it_says_itself():
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.StatusesError)}
    inside = {"Superseded", "StartedBefore"}

    assert set(classes) - words("reference.md") - inside == set()
    assert all(kind.__doc__.startswith("Raised when") for kind in classes.values())
    assert set(classes) - inside <= set(statuses.__all__)


def test_every_setting_is_documented_and_no_other():
    rows = re.findall(r"^\| (?:`([A-Z_]+)` )?\| (?:`([a-z_]+)` )?\| ", DOCS["settings.md"], re.M)
    upper, lower = {row[0] for row in rows} - {""}, {row[1] for row in rows} - {""}

    assert upper == {*apps.KEYS, *checks.DASHBOARD_KEYS, "CACHE"}
    assert lower | {"resolver"} == {field.name for field in dataclasses.fields(config.Config)}
    for django, plain in apps.KEYS.items():
        assert (django, plain) in rows


def test_every_key_is_documented():
    made = {name for name, function in vars(keys).items() if inspect.isfunction(function) or hasattr(function, "cache_info")} - {
        "lru_cache"
    }

    assert made == KEYS.keys() | PARTS
    missing = [name for name, text in KEYS.items() if text.removeprefix("P ") not in DOCS["redis.md"]]
    assert missing == []


def test_every_column_dictionary_tag_and_field_is_documented():
    known = words("redis.md")

    assert {column.key for column in COLUMNS} - known == set()
    assert set(DICTIONARIES.values()) - known == set()
    assert {f"{kind}0" for kind in TAGS.values()} - known == set()
    assert set(FIELDS) - known == set()


def test_every_clause_and_answer_is_documented():
    assert set(clauses.NAMES) - words("querying.md") == set()


@pytest.mark.parametrize("state", statuses.State)
def test_every_state_is_drawn_and_told(state):
    drawn = (ROOT / "docs" / "images" / "lifecycle.svg").read_text()

    assert f">{state}</text>" in drawn
    assert f"| `{state}` | " in DOCS["lifecycle.md"]
    assert state.moment is None or f">{state.moment}</text>" in drawn


def test_what_users_test_with_is_documented():
    assert set(testing.__all__) - words("testing.md") == set()


@pytest.mark.parametrize("name", [*DOCS, "../README.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / "docs" / name).read_text()
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)

    gone = [target for target in targets if "://" not in target and not ((ROOT / "docs" / name).parent / target).exists()]
    assert gone == []


def test_every_document_is_linked_from_the_front_page():
    front = (ROOT / "README.md").read_text()

    assert [name for name in DOCS if f"docs/{name}" not in front] == []
