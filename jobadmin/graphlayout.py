"""Where the boxes of a workflow's graph stand, and the lines between them: figures for attributes of SVG, no style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobadmin.workflow import Graph, Step

#: A box, and the room between boxes side by side, between rows of one depth, and between depths.
WIDTH, HEIGHT = 184.0, 52.0
BESIDE, BELOW, BETWEEN = 16.0, 12.0, 40.0
#: Room around everything, for outlines.
MARGIN = 4.0
#: Boxes side by side; more of one depth begin another row.
ACROSS = 6
#: Times the boxes of each depth are put in the order of what they come after.
PASSES = 3
#: Lines of one drawing; beyond, boxes alone are drawn, and the table says what comes after what.
MOST_LINES = 1_500


@dataclass(frozen=True, kw_only=True)
class Line:
    """From one box to a later one."""

    path: str
    """Attribute ``d``."""
    waits: bool
    """Whether the later one waits for the earlier, else was sent by it."""
    is_critical: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What the template draws."""

    steps: Sequence[Step]
    lines: Sequence[Line]
    width: float
    height: float


def draw(graph: Graph) -> Drawing:
    """Give every step its place, from top to bottom by depth, and draw the lines."""
    depths: dict[int, list[Step]] = {}
    for step in graph.steps:
        depths.setdefault(step.first, []).append(step)
    rows = [depths[depth] for depth in sorted(depths)]
    _settle(rows, graph)
    across = max((min(len(row), ACROSS) for row in rows), default=0)
    width = across * (WIDTH + BESIDE) - BESIDE + 2 * MARGIN
    y = MARGIN
    for row in rows:
        y = _place(row, y, width) + BETWEEN
    lines = _lines(graph) if len(graph.links) <= MOST_LINES else []
    return Drawing(steps=graph.steps, lines=lines, width=width, height=y - BETWEEN + MARGIN)


def _settle(rows: Sequence[list[Step]], graph: Graph) -> None:
    """Order the boxes of each depth by the middle of what they come after: fewer lines cross."""
    for _ in range(PASSES):
        position = {id(step): (number + 0.5) / len(row) for row in rows for number, step in enumerate(row)}
        later: dict[int, list[float]] = {}
        for before, after in graph.links:
            later.setdefault(id(graph.steps[before]), []).append(position[id(graph.steps[after])])
        for number, row in enumerate(rows):
            if number:
                row.sort(key=lambda step: _middle([position[id(one)] for one in step.after], position[id(step)]))
            else:
                row.sort(key=lambda step: _middle(later.get(id(step), []), position[id(step)]))
            position.update({id(step): (place + 0.5) / len(row) for place, step in enumerate(row)})


def _middle(places: Sequence[float], own: float) -> float:
    return sum(places) / len(places) if places else own


def _place(row: Sequence[Step], y: float, width: float) -> float:
    """Put one depth from ``y`` on, centred; where it ends."""
    for first in range(0, len(row), ACROSS):
        part = row[first : first + ACROSS]
        x = (width - (len(part) * (WIDTH + BESIDE) - BESIDE)) / 2
        for step in part:
            step.x, step.y = round(x, 1), y
            x += WIDTH + BESIDE
        y += HEIGHT + BELOW
    return y - BELOW


def _lines(graph: Graph) -> list[Line]:
    lines = []
    for (before, after), waits in sorted(graph.links.items()):
        above, below = graph.steps[before], graph.steps[after]
        lines.append(Line(path=_path(above, below), waits=waits, is_critical=(before, after) in graph.critical))
    return sorted(lines, key=lambda line: line.is_critical)


def _path(above: Step, below: Step) -> str:
    x1, y1, x2, y2 = above.x + WIDTH / 2, above.y + HEIGHT, below.x + WIDTH / 2, below.y
    bend = max(18.0, min(abs(y2 - y1) / 2, 60.0))
    return f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2 - 1:.1f}"
