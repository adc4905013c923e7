"""The queue of a Celery message that is sent by exchange and routing key."""

import pytest
from celery import Celery
from kombu import Exchange, Queue, binding

from statuses.engines.celery import routing
from statuses.engines.celery.messages import Message, read

news, copies = Exchange("news", type="topic"), Exchange("copies", type="fanout")
QUEUES = [
    Queue("sport", news, "news.sport.#"),
    Queue("local", news, "news.*.local"),
    Queue("first", copies),
    Queue("second", copies),
    Queue("both", bindings=[binding(Exchange("a"), "one"), binding(Exchange("b"), "two")]),
]


def sent(exchange: object, routing_key: str, declared: Queue | None = None) -> Message:
    request = {"id": "1", "task": "work", "delivery_info": routing.delivery(exchange, routing_key)}
    found = read(request)
    assert found is not None
    routing.name(Celery(task_queues=QUEUES, set_as_current=False), found, declared)
    return found


@pytest.mark.parametrize(
    ("exchange", "key", "queue"),
    [
        ("news", "news.sport.tennis", "sport"),
        (news, "news.town.local", "local"),
        ("a", "one", "both"),
        ("b", "two", "both"),
    ],
)
def test_it_is_the_one_that_the_exchange_gives_the_key_to(exchange: object, key: str, queue: str) -> None:
    assert (sent(exchange, key).queue, sent(exchange, key).is_named) == (queue, True)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("news", "weather"),
        ("news", "news.sport.local"),  # to two
        ("copies", "any"),
        ("a", "two"),
        ("elsewhere", "one"),
    ],
)
def test_where_that_is_none_or_several_the_key_stands_for_it(exchange: str, key: str) -> None:
    assert (sent(exchange, key).queue, sent(exchange, key).is_named) == (key, False)


def test_one_that_is_declared_with_it_counts_where_the_key_leads_there_or_nowhere_that_is_known() -> None:
    default, own = Queue("celery", Exchange("celery"), "celery"), Queue("own", news, "news.own")

    assert sent("a", "one", declared=default).queue == "both"
    assert sent("news", "news.own", declared=own).queue == "own"
    assert sent("elsewhere", "one", declared=default).queue == "celery"


@pytest.mark.parametrize("exchange", ["", None])
def test_without_an_exchange_the_key_is_its_name(exchange: str | None) -> None:
    assert (sent(exchange, "one").queue, sent(exchange, "one").is_named) == ("one", True)
    assert routing.address({"delivery_info": routing.delivery(exchange, "one")}) is None


def test_one_that_rabbitmq_kept_until_it_was_due_is_sent_to_its_queue_again() -> None:
    key = "0." * 27 + "1.safe"

    assert sent("celery_delayed_27", key).queue == "safe"
    assert routing.address({"delivery_info": routing.delivery("celery_delayed_27", key)}) is None
