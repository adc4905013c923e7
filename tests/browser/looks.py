"""How a page looks to assistive technology, in the sizes and colours it comes in."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe

_SCRIPT = Axe().axe_script
#: Axe's findings as texts. What it gives beside them takes as long to hand over as the look itself.
_LOOK = """part => axe.run(part ?? document, { resultTypes: ['violations'] })
  .then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`))"""
#: When colours that change have come to where they go.
_AT_REST = "() => Promise.all(document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished.catch(() => 0)))"


def axe(page: Any, part: Any = None) -> list[str]:
    """What axe finds on the page, or in a part of it; nothing is left out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT)
    return page.evaluate(_LOOK, part)


def themes(page: Any, *names: str) -> Iterator[str]:
    """Each theme, in which the page is then: only its colours change, it is not asked for again."""
    for name in names or ("light", "dark"):
        page.emulate_media(color_scheme=name, reduced_motion="reduce")
        page.evaluate(_AT_REST)
        yield name


def reads_at_every_size(page: Any, address: str, name: str, widest: int, there: Callable[[], object]) -> None:
    """A page is clean and fits at three widths, in both themes at the outer ones; a picture of each goes into the folder SCREENSHOTS.
    `there` waits for what the page is about."""
    for width, colours in ((widest, ("light", "dark")), (820, ("light",)), (390, ("light", "dark"))):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address)
        there()

        for theme in themes(page, *colours):
            picture(page, f"{name}-{width}-{theme}")
            found = axe(page)
            assert found == [], (width, theme, found)  # pytest tells no more of what a helper compares
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def picture(page: Any, name: str) -> None:
    """Into the folder that SCREENSHOTS names, where it is set."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
