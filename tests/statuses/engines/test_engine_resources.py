"""What is taken for a resource, and what is not."""

from typing import Any

import pytest

from statuses.engines import resources


class Model:
    """What a Django model instance looks like from outside."""

    class _meta:
        label = "library.Book"

    def __init__(self, pk: object) -> None:
        self.pk = pk


@pytest.mark.parametrize("text", ["Book:53", "library.Book:53", "Package:django", "User:a@b.org", "Book:0b3c-11", "OrderLine:7:3"])
def test_a_type_and_an_id_is_a_resource(text: str) -> None:
    assert resources.resource(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "http://x",
        "db:6379",
        "12:30",
        "C:\\temp",
        "C:file",
        "Error: no",
        "Book:",
        "Book",
        "book:53",
        "Book:/etc",
        "",
        "Book:1\n",
        "Book:" + "1" * 300,
    ],
)
def test_prose_addresses_times_and_paths_are_none(text: str) -> None:
    assert resources.resource(text) is None


def test_a_model_instance_is_named_by_label_and_key() -> None:
    assert resources.resource(Model(53)) == "library.Book:53"
    assert resources.resource(Model(None)) is None
    assert resources.resource(Model) is None


@pytest.mark.parametrize("value", [None, 53, 5.3, True, b"Book:53", object(), int])
def test_everything_else_is_none(value: Any) -> None:
    assert resources.resource(value) is None


def test_resources_are_found_one_level_deep() -> None:
    found = resources.find(
        {"book": "Book:1", "many": ["Book:2", Model(3), "x", 4], "options": {"book": "Book:4", "deep": {"book": "Book:5"}}, "plain": 6}
    )

    assert found == {"book": "Book:1", "many": ["Book:2", "library.Book:3"], "options.book": "Book:4"}


def test_types_say_which_plain_values_are_ids() -> None:
    found = resources.find(
        {"book_id": 53, "books": [1, "two"], "page": 7, "none": None, "flag": True},
        {"book_id": "Book", "books": "Book", "none": "X", "flag": "X"},
    )

    assert found == {"book_id": "Book:53", "books": ["Book:1", "Book:two"]}


def test_a_call_with_ten_thousand_resources_keeps_a_hundred() -> None:
    found = resources.find({"books": [f"Book:{n}" for n in range(10_000)], "more": "Book:x"})

    assert len(found["books"]) == resources.MOST
    assert "more" not in found


def plan(book: str, *chapters: str, dry: bool = False, **rest: Any) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        (("Book:1",), {"dry": True}, {"book": "Book:1", "dry": True}),
        (("Book:1", "a", "b"), {"extra": 1}, {"book": "Book:1", "chapters": ("a", "b"), "extra": 1}),
        ((), {}, {}),
        (("Book:1",), {"book": "twice"}, {"0": "Book:1", "book": "twice"}),
    ],
)
def test_arguments_have_the_names_of_the_signature_where_they_fit(args: Any, kwargs: Any, named: Any) -> None:
    assert resources.named(plan, args, kwargs) == named


def test_arguments_of_an_unknown_function_have_their_position() -> None:
    assert resources.named(None, ["Book:1"], {"x": 2}) == {"0": "Book:1", "x": 2}
