"""Follows every link and every form of the pages, as far as the site goes."""

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

from django.test import Client
from django.urls import Resolver404, get_script_prefix, resolve

#: Attributes that hold an address somebody may go to, or that a script asks.
ADDRESSES = ("href", "src", "action", "formaction", "hx-get", "hx-post", "data-url", "data-all-url", "data-href", "data-suggest")

#: Every filter leads to every other: so many addresses of one kind are asked for, so many pages of one view are searched.
MOST_ALIKE, MOST_OF_A_VIEW = 2, 3


@dataclass
class Found:
    """What a walk came across."""

    visited: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    """Names of the views that answered."""
    broken: list[str] = field(default_factory=list)
    """``status address <- page``."""


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, bool]] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        posts = given.get("method", "").lower() == "post"
        self.ids.add(given.get("id", ""))
        for name in ADDRESSES:
            if name in given:
                self.links.append((given[name], posts or name in ("formaction", "hx-post")))


def crawl(
    client: Client, starts: list[str], root: str, look: Callable[[str, str], None] = lambda address, text: None, most: int = MOST_ALIKE
) -> Found:
    """Ask for what the pages below `root` lead to. Addresses that differ in values alone are of one kind; `most` of each kind
    are asked for, and a few pages of each view are searched. Addresses of forms that are posted have to exist. `look` gets every answer's
    address and text."""
    found, queue = Found(), deque((start, "(start)") for start in starts)
    seen, alike, searched = set(starts), Counter[str](), Counter[str]()
    while queue:
        address, page = queue.popleft()
        view, kind = _kind(address)
        alike[kind] += 1
        if alike[kind] > most:
            continue
        answer = client.get(_inner(address))
        found.visited.append(address)
        look(address, b"".join(answer).decode())
        if answer.status_code >= 400:
            found.broken.append(f"{answer.status_code} {address} <- {page}")
            continue
        if answer.status_code in (301, 302):
            _enqueue(urljoin(address, answer["Location"]), address, seen, queue)
            continue
        if not address.startswith(root) or searched[view] == MOST_OF_A_VIEW or "html" not in answer["Content-Type"]:
            continue
        searched[view] += 1
        found.kinds.add(view.removeprefix("jobadmin:"))
        _search(address, answer.content.decode(), found, seen, queue)
    return found


def _search(address: str, html: str, found: Found, seen: set[str], queue: deque) -> None:
    page = _Addresses()
    page.feed(html)
    for link, posts in page.links:
        if link.startswith("#"):
            # A part of a page points at what stands on the page.
            if "</html>" in html and link[1:] not in page.ids:
                found.broken.append(f"no such place {link} <- {address}")
            continue
        whole = urlsplit(urljoin(f"http://testserver{address}", link))
        if "/FIELD/" in whole.path:  # a pattern for the script
            continue
        if whole.netloc != "testserver" or "/static/" in whole.path:
            continue
        target = whole.path + (f"?{whole.query}" if whole.query else "")
        if not posts:
            _enqueue(target, address, seen, queue)
        elif not _exists(whole.path):
            found.broken.append(f"no view for the form {target} <- {address}")


def _exists(path: str) -> bool:
    try:
        return path.startswith(get_script_prefix()) and resolve(_inner(path)) is not None
    except Resolver404:
        return False


def _enqueue(target: str, page: str, seen: set[str], queue: deque) -> None:
    if target not in seen and not re.search(r"/(logout|jsi18n)/", target):
        seen.add(target)
        queue.append((target, page))


def _inner(address: str) -> str:
    """The address as the application sees it: without the prefix that the server in front of it takes off."""
    prefix = get_script_prefix()
    return "/" + address.removeprefix(prefix) if address.startswith(prefix) else address


def _kind(address: str) -> tuple[str, str]:
    """The view that answers, and that with the names of the parameters."""
    parts = urlsplit(address)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    try:
        view = resolve(urlsplit(_inner(address)).path).view_name
    except Resolver404:
        view = parts.path
    return view, f"{view} {names}"
