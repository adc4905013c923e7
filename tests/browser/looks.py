"""How a page looks to assistive technology, in the sizes and colours it comes in."""

import os
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe

_SCRIPT = Axe().axe_script
#: Axe's findings as texts. What it gives beside them takes as long to hand over as the look itself.
_LOOK = """part => axe.run(part ?? document, { resultTypes: ['violations'] })
  .then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`))"""
#: Colours that change have come to where they go: at once, as frame by frame the whole page is painted again. What inherits a colour
#: begins to change only when that has arrived.
_AT_REST = """() => {
  const moving = () => document.getAnimations().filter(one => one instanceof CSSTransition);
  for (let all = moving(); all.length; all = moving()) all.forEach(one => one.finish());
}"""


def axe(page: Any, part: Any = None) -> list[str]:
    """What axe finds on the page, or in a part of it; nothing is left out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT)
    return page.evaluate(_LOOK, part)


def sizes(page: Any, widest: int = 1440, *, both: bool = False) -> Iterator[tuple[int, str]]:
    """Widths and themes that the page is then in, without being asked for again: wide and light, narrow and dark; `both` themes in
    both widths, as where somebody wants pictures."""
    looks = [(widest, "light"), (390, "dark"), (390, "light"), (widest, "dark")]
    for width, theme in looks if both or _folder() else looks[:2]:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.evaluate(_AT_REST)
        yield width, theme


def reads_at_every_size(page: Any, name: str, widest: int = 1440, part: Any = None) -> None:
    """The page that is open is clean, or a part of it, and fits; a picture of each look goes into the folder SCREENSHOTS."""
    for width, theme in sizes(page, widest):
        picture(page, f"{name}-{width}-{theme}")
        found = [*axe(page, part), *too_wide(page, width)]
        assert found == [], (width, theme, found)  # pytest tells no more of what a helper compares
    assert too_wide(page, 820) == []


def too_wide(page: Any, width: int, height: int = 900) -> list[str]:
    """The page in a window of this size: what is said where it does not fit."""
    page.set_viewport_size({"width": width, "height": height})
    wide = page.evaluate("document.documentElement.scrollWidth")
    return [f"{wide} px wide at {width}"] if wide > width else []


def _folder() -> str | None:
    return os.environ.get("SCREENSHOTS")


def picture(page: Any, name: str) -> None:
    """Into the folder that SCREENSHOTS names, where it is set."""
    if folder := _folder():
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
