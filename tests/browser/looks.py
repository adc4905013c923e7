"""How a page looks to assistive technology, in the sizes and colours it comes in."""

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe

_AXE = Axe()
#: When colours that change have come to where they go.
_AT_REST = "() => Promise.all(document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished.catch(() => 0)))"


def axe(page: Any, context: Any = None) -> list[str]:
    """What axe finds on the page, or in a part of it; nothing is left out."""
    found = _AXE.run(page, context=context).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def themes(page: Any, *names: str) -> Iterator[str]:
    """Each theme, in which the page is then: only its colours change, it is not asked for again."""
    for name in names or ("light", "dark"):
        page.emulate_media(color_scheme=name, reduced_motion="reduce")
        page.evaluate(_AT_REST)
        yield name
