"""Every page, light and dark, wide and narrow: nothing for assistive technology to stumble over, and nothing wider than the screen."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import reverse

import statuses
from jobadmin import moments, outage
from jobadmin.models import Operation
from jobadmin.paths import job_url, quote
from statuses.testing import make_status
from tests.jobadmin.engines import toy_engine

from .looks import axe, reads_at_every_size, sizes, too_wide
from .test_overview import load

pytestmark = pytest.mark.django_db(transaction=True)

#: Our part of the page: without what Django's own frame brings, above and beside it.
OURS = {"exclude": [["#header"], [".breadcrumbs"], [".messagelist"]]}


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    """One of each kind of page."""
    with toy_engine():
        # Names and words that no blank parts, as long as they can be.
        user, queue, words = "u" * 200, "q" * 200, "n" * 1000
        parent = make_status("started", job_name="planning.rollup", queue="nightly", user="marta", job_args={"book": "Book:53"})
        parent.set_progress(1, 3, message=words)
        failed = parent.spawn("planning.plan", job_args={"book": "Book:53"}, queue=queue, user=user, engine="toy").queued().started()
        failed.add_error(ValueError(words)).failed().requeued().started().add_error(ValueError(words)).failed()
        lost = make_status("failed", job_name="mail.send", error="m" * 1000)
        make_status("queued", job_name="mail.send", queue="mail", depends_on=[failed.id])
        load(3, hours=1)
        done = Operation.objects.create(
            action="retry", username="marta", state="done", ids=[failed.id], announced=1, changed=1, reason="again"
        )
        filtered = ("?chart=table", "?user=nobody", "?name=mail.*&state=failed&user=-nobody&span=24h")
        plain = [reverse(f"jobadmin:{name}") for name in ("overview", "list", "names", "errors", "queues", "workers", "operations", "api")]
        yield [
            *plain,
            *(reverse("jobadmin:overview") + more for more in filtered),
            reverse("jobadmin:list") + "?name=nothing",
            reverse("jobadmin:list") + "?state=nonsense",
            reverse("jobadmin:errors") + "?error=builtins.ValueError",
            reverse("jobadmin:errors") + "?" + urlencode({"error": lost.reload().error_group}),
            reverse("jobadmin:resource", args=[quote("Book:53")]),
            reverse("jobadmin:operation", args=[done.pk]),
            *(reverse("jobadmin:bulk", args=[verb]) + "?span=all" for verb in ("kill", "kill-now", "retry", "remove")),
            *(job_url(job.id) for job in (parent, failed)),
            reverse("jobadmin:workflow", args=[quote(failed.id)]),
            job_url("no-such-job"),
        ]


@pytest.mark.console_errors  # pages that say 400 and 404 are among them
@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.full)])
def test_every_page_is_clean_and_fits(page: Any, addresses: list[str], everything: bool) -> None:
    """Pages that are others with a filter are looked at in one size, by turns; where there is time, each in all."""
    found = []
    for number, address in enumerate(addresses):
        page.goto(address)
        for look, (width, theme) in enumerate(sizes(page, both=everything)):
            if everything or "?" not in address or (number + look) % 2:
                found += [f"{address}, {theme}: {one}" for one in (*axe(page, OURS), *too_wide(page, width))]

    assert found == []


#: Words of ours that do not fit into what they stand in.
CUT = """() => [...document.querySelectorAll('.ja :is(.j-tile__label, .j-btn, .j-tabs a, .j-seg a, .j-seg summary)')]
  .filter(one => one.checkVisibility({ visibilityProperty: true }) && one.scrollWidth > one.clientWidth).map(one => one.textContent.trim())"""


#: What one can aim at and is smaller than 24 px: sentences have links of their own height, tiles are their links, chips stand apart.
TOO_SMALL = """() => [...document.querySelectorAll('.ja :is(a, button, summary, select)')].filter(one => {
  const { width, height } = one.getBoundingClientRect();
  return one.checkVisibility({ visibilityProperty: true }) && width > 1 && (height < 23.5 || (width < 23.5 && one.querySelector(':scope > .j-i')))
    && !one.closest('p, pre, .j-note, .j-chip--res, .j-tile, .j-errors, .j-kv, .j-list, .j-feed, .j-job__meta, .j-panel__note, .j-facts');
}).map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.console_errors
def test_a_page_without_a_store_is_clean_and_fits(page: Any, live: Any) -> None:
    statuses.configure(url="unix:///nowhere/at-all.sock", namespace="lost")
    page.goto(reverse("jobadmin:list"))

    page.get_by_text("Redis does not answer").first.wait_for()
    reads_at_every_size(page, "lost", part=OURS)


@pytest.mark.console_errors
def test_how_long_a_store_is_silent_stays_on_one_line_with_its_unit(page: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses.configure(url="unix:///nowhere/at-all.sock", namespace="lost")
    monkeypatch.setattr(outage, "_since", moments.now() - timedelta(minutes=2, seconds=5))
    page.goto(reverse("jobadmin:list"))

    silent = page.locator("[data-ticks]")
    silent.wait_for()
    for width in range(320, 480, 3):
        page.set_viewport_size({"width": width, "height": 900})
        assert silent.evaluate("words => words.getClientRects().length") == 1, width


@pytest.mark.parametrize("width", [390, 700])
def test_a_call_of_the_api_is_a_card_that_says_what_it_takes_and_nothing_where_it_takes_nothing(page: Any, live: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(reverse("jobadmin:api"))

    labels = {"What it takes"}
    for row in page.locator("#j-calls tbody tr").all():
        takes = row.locator("td").last
        if takes.inner_text() in ("–", ""):
            assert not takes.is_visible(), row.inner_text()
        else:
            label = takes.evaluate("cell => getComputedStyle(cell, '::before').content.slice(1, -1)")
            assert label in labels and takes.get_attribute("data-label") == label, row.inner_text()
    assert page.locator("#j-calls td:not(:visible)").count() > 0, "a call that takes nothing"
    assert page.locator("#j-parameters td:not(:visible)").count() == 0
    assert too_wide(page, width) == []


#: What is wrong with the colours of a page; `colour` reads what a style came to as numbers.
LOOK_AT_COLOURS = """() => {
  const paper = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = text => { paper.clearRect(0, 0, 1, 1); paper.fillStyle = text; paper.fillRect(0, 0, 1, 1); return [...paper.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
  const style = (element, pseudo) => getComputedStyle(element, pseudo), ground = colour('Canvas'), found = [];
  const seen = element => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;
  const name = element => `${element.tagName} ${element.className.baseVal ?? element.className} ${element.id} ${element.textContent.trim().slice(0, 30)}`;

  const fills = {};
  for (const icon of document.querySelectorAll('.ja :is(.j-badge, .j-chip, .j-tile__label, .j-plan, .j-table__head-icon, .j-legend button) > .j-i')) {
    const state = icon.closest('[class*="s-"]')?.className.match(/\\bs-(\\w+)/)?.[1];
    if (!state || !seen(icon)) continue;
    if (contrast(colour(style(icon).color), ground) < 3) found.push(`faint: ${state} ${name(icon.parentElement)}`);
    if (contrast(colour(style(icon).getPropertyValue('--knock')), ground) > 1.01) found.push(`its sign is lost: ${state} ${name(icon.parentElement)}`);
    fills[state] = style(icon).color;
  }
  for (const mark of document.querySelectorAll('.j-mark:not(.s-succeeded), .j-mark-top')) if (contrast(colour(style(mark)[mark.matches('.j-mark') ? 'fill' : 'stroke']), ground) < 3) found.push(`faint bar: ${name(mark)}`);
  for (const part of document.querySelectorAll('.j-bar rect')) if (contrast(colour(style(part).fill), ground) < 3) found.push(`faint bar: ${name(part.parentElement)}`);
  for (const button of document.querySelectorAll('.ja .j-btn, .ja .j-chip, .ja .j-field')) {
    const { borderTopStyle, borderTopColor } = style(button);
    if (seen(button) && (borderTopStyle === 'none' || contrast(colour(borderTopColor), ground) < 3)) found.push(`no edge: ${name(button)}`);
  }
  const usual = [...document.querySelectorAll('.j-btn:not([aria-disabled=true], [disabled])')].find(seen);
  for (const off of document.querySelectorAll('.j-btn:is([aria-disabled=true], [disabled])')) if (seen(off) && style(off).color === style(usual).color) found.push(`looks possible: ${name(off)}`);
  for (const over of document.querySelectorAll('.j-bulk, dialog[open], .j-menu')) if (seen(over) && style(over).outlineStyle === 'none') found.push(`no edge: ${name(over)}`);
  for (const on of document.querySelectorAll('.j-chip:has(:checked), .j-tile.is-on, [aria-current=true], tr.is-picked')) if (seen(on) && style(on).outlineStyle === 'none') found.push(`looks off: ${name(on)}`);
  for (const box of document.querySelectorAll('.j-check')) {
    const mark = style(box, '::after');
    if (seen(box) && box.indeterminate && contrast(colour(mark.backgroundColor), ground) < 3) found.push('a half picked page has no mark');
    if (seen(box) && box.checked && contrast(colour(mark.borderBottomColor), ground) < 3) found.push('a picked row has no mark');
  }
  return { found, fills };
}"""


#: What has the focus and cannot be seen, in our part of the page.
HIDDEN_BEHIND = """() => [...document.querySelectorAll('#j-main :is(a, button, input, select)')].filter(one => {
  if (!one.checkVisibility({ visibilityProperty: true }) || one.disabled) return false;
  one.focus();
  const box = one.getBoundingClientRect(), parts = [[.5, .5], [.1, .1], [.9, .9], [.1, .9], [.9, .1]];
  return !parts.some(([x, y]) => {
    const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
    return top && (one.contains(top) || top.contains(one));
  });
}).map(one => one.outerHTML.slice(0, 160))"""


def faults(page: Any, address: str) -> Iterator[str]:
    """What is wrong with the page that is open, whatever size and colours somebody has it in."""
    if address.endswith(("/jobs/", "/list/", "/names/", "/errors/")):
        yield from page.evaluate(TOO_SMALL)
    page.emulate_media(forced_colors="active")
    yield from (f"forced colours: {one}" for one in page.evaluate(LOOK_AT_COLOURS)["found"])
    page.emulate_media(forced_colors="none")
    for width in (1920, 1280, 1180, 940, 768, 641, 390):
        yield from too_wide(page, width)
    yield from (f"cut: {words}" for words in page.evaluate(CUT))
    for percent, width, height in ((200, 640, 512), (400, 320, 256)):
        yield from too_wide(page, width, height)
        if address.endswith(("/jobs/", "/list/")):
            for box in page.locator("#j-list tbody .j-check:not(:checked)").all()[:1]:
                box.check()
            yield from (f"hidden at {percent} %: {one}" for one in page.evaluate(HIDDEN_BEHIND))
    page.set_viewport_size({"width": 1360, "height": 900})


@pytest.mark.console_errors  # pages that say 400 and 404 are among them
@pytest.mark.parametrize("language", ["de", pytest.param("en", marks=pytest.mark.full)])
def test_every_page_fits_at_every_width_and_zoom_and_has_edges_with_forced_colours(page: Any, addresses: list[str], language: str) -> None:
    """Zoomed in: a window of 1280 by 1024, at 200 and at 400 %, where nothing hides what has the focus."""
    page.set_extra_http_headers({"Accept-Language": language})
    found = []
    for address in addresses:
        page.goto(address)
        found += [f"{address}: {one}" for one in faults(page, address)]

    assert found == []


def test_with_forced_colours_states_stay_apart(page: Any, addresses: list[str]) -> None:
    for state in ("unqueued", "succeeded", "killed", "unknown"):
        make_status(state, job_name="mail.send")
    found, fills = [], []

    def look(where: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(forced_colors="active", color_scheme=scheme)
            seen = page.evaluate(LOOK_AT_COLOURS)
            fills.append(seen["fills"])
            found.extend(f"{where}, {scheme}: {one}" for one in seen["found"])

    states = ("unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown")
    page.goto(reverse("jobadmin:list") + "?" + urlencode({"state": states}, doseq=True))
    page.locator("#j-list tbody .j-check").first.click()
    look("selecting")
    page.keyboard.press("?")
    look("help")

    assert found == []
    assert [len({one[state] for state in states}) for one in fills[-2:]] == [7, 7]


def test_a_printed_page_is_dark_on_light_and_has_nothing_to_press(page: Any, live: Any) -> None:
    load(3)
    page.goto(reverse("jobadmin:list") + "?name=mail.*&name=library.*&span=all")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")

    seen = page.evaluate(
        "[...document.querySelectorAll('button, select, input, summary, #header')].filter(one => one.checkVisibility()).map(one => one.outerHTML)"
    )
    assert seen == []
    assert page.locator("#j-count").is_visible() and page.locator("#j-tokens").get_by_text("mail.*").is_visible()
    assert page.locator("#j-list .j-badge").count() == 2
    assert page.evaluate("getComputedStyle(document.querySelector('.ja .j-panel')).backgroundColor") == "rgb(255, 255, 255)"


def test_names_in_colours_of_the_system_have_no_bars(page: Any, live: Any) -> None:
    load(3)
    page.emulate_media(forced_colors="active")
    page.goto(reverse("jobadmin:list"))

    bars, canvas = page.locator("#j-list tbody th a").first.evaluate(
        """name => {
          const canvas = Object.assign(document.createElement("i"), { className: "canvas" });
          document.body.append(canvas);
          canvas.style.backgroundColor = "Canvas";
          return [getComputedStyle(name).borderTopColor, getComputedStyle(canvas).backgroundColor];
        }"""
    )
    assert bars == canvas


@pytest.mark.parametrize("width", [840, 1000, 1280])
def test_a_name_that_needs_two_lines_is_read_whole(page: Any, live: Any, width: int) -> None:
    make_status("failed", job_name="packages.audit.list_entry_points", job_args={"module": "Module:openapi_spec_validator"}, error="m" * 99)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(reverse("jobadmin:list"))

    name = page.locator("#j-list tbody th a")
    assert name.evaluate("name => name.scrollHeight <= name.clientHeight"), name.bounding_box()
    assert too_wide(page, width) == []
