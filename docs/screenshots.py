"""Takes the pictures in docs/images, or in another folder, from a running demo.

python3 manage.py demo                                                     # in one shell; let it work for a few minutes
.venv/bin/python docs/screenshots.py ADDRESS PASSWORD [--into FOLDER]      # in another one

What a young demo may lack (a failed job with a traceback, a workflow, a group of errors) is waited for, and what is waited
for is said.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
#: Name of the picture -> path, relative to the dashboard.
PAGES = {
    "overview": "?span=1h",
    "list": "list/?span=1h&sort=-run_time",
    "failed": "list/?span=1h&state=failed",
    "names": "names/?span=1h",
    "errors": "errors/?span=1h",
    "resource": "resources/Package:django/?span=1h",
    "queues": "queues/",
    "workers": "workers/",
    "schedules": "schedules/",
    "operations": "operations/",
    "confirm": "bulk/remove/?span=1h&state=failed",
}
#: The one job that is shown: the first of these lists that has an error with a traceback. (Audits show licences, with names of
#: people: a `-` leaves them out.)
JOBS = ("list/?span=1h&state=failed&name=search.index_package", "list/?span=1h&state=failed&name=-packages.audit*")
#: Jobs of a list that are looked at.
LOOKED_AT = 12
#: The one workflow: of the first job of this list.
WORKFLOW = "list/?span=1h&name=catalogue.choose"
#: The one group of errors: the first of this page.
GROUP = "errors/?span=1h"
#: How long each of them is waited for, and how long it takes until the next look, seconds.
PATIENCE, PAUSE = 300, 10
#: Views that are saved, once, for the picture of them: name, address, whether everybody sees it.
VIEWS = (
    ("What failed this hour", "list/?state=failed&span=1h", True),
    ("My slow indexing", "list/?name=search.index_package&span=24h&sort=-run_time", False),
)

#: Actions that are done, once, for the picture of the operations: which, of which jobs, why.
ACTIONS = (
    ("retry", "span=1h&state=failed&name=packages.check_imports", "The module is installed now"),
    ("remove", "span=1h&state=succeeded&name=reports.publish", "Published by hand"),
    ("kill", "span=1h&state=incomplete&name=search.rebuild", ""),
)


def sign_in(context: BrowserContext, address: str, password: str) -> Page:
    """A page of the administrator."""
    page = context.new_page()
    page.goto(address)
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("[type=submit]")
    page.wait_for_url("**/admin/jobs/**")
    return page


def take(page: Page, url: str, into: Path, name: str, opened: str = "") -> None:
    """One picture, once the page has come to rest; `opened` is a menu that is opened for it."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    if opened:
        page.click(opened)
    page.screenshot(path=into / f"{name}.png", clip={"x": 0, "y": 0, **(page.viewport_size or {})})
    print(into / f"{name}.png")


def rows(page: Page, url: str) -> list[str]:
    """Where the rows of a list lead; nowhere where it has none."""
    page.goto(url)
    return [link.get_attribute("href") or "" for link in page.locator("tbody th a").all()]


def first(page: Page, url: str) -> str:
    """Where the first row of a list leads; empty where it has none."""
    return next(iter(rows(page, url)), "")


def failed_job(page: Page, address: str, origin: str) -> str:
    """A failed job whose page shows a traceback; empty where there is none yet."""
    for path in JOBS:
        for job in rows(page, address + path)[:LOOKED_AT]:
            page.goto(origin + job)
            if page.locator("#job-errors .j-code", has_text="Traceback").count():
                return job
    return ""


def wait_for(what: str, look: Callable[[], str]) -> str:
    """What `look` finds, which is asked again until it finds something; says what is waited for, and gives up in the end."""
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > until:
            sys.exit(f"Waited {PATIENCE} s for {what}, in vain. Does the worker of the demo run?")
        print(f"Waiting for {what}: looking again in {PAUSE} s, for {until - time.monotonic():.0f} s more.", flush=True)
        time.sleep(PAUSE)
    return found


def save_views(page: Page, address: str) -> None:
    """The views of the picture; one of the same name is written over."""
    for name, path, shared in VIEWS:
        page.goto(address + path)
        page.click("#j-views > summary")
        page.fill("#j-save-view [name=name]", name)
        page.set_checked("#j-save-view [name=shared]", shared)
        page.click("#j-save-view button")
        page.wait_for_load_state()


def act(page: Page, address: str) -> None:
    """The actions of the picture, each confirmed on its page, where there is none yet; one that there are no jobs for is left out."""
    page.goto(address + "operations/")
    if page.locator(".j-table--operations").count():
        return
    for verb, which, reason in ACTIONS:
        page.goto(f"{address}bulk/{verb}/?{which}")
        if not page.locator("[name=reason]").count():
            continue
        page.fill("[name=reason]", reason)
        if page.locator("[name=typed]").count():
            page.fill("[name=typed]", page.locator(".j-ask code").inner_text())
        page.click(".j-dlg__foot [type=submit]")
        page.wait_for_url("**/operations/**")
        page.wait_for_load_state("networkidle")


def whatever_is_shown(page: Page, address: str, origin: str) -> dict[str, str]:
    """Name of the picture -> path of the one job, the one workflow, the one group of errors; the same in all sizes."""
    workflow = wait_for("a workflow", lambda: first(page, address + WORKFLOW))
    return {
        "job": wait_for("a failed job with a traceback", lambda: failed_job(page, address, origin)),
        "workflow": f"{workflow}workflow/",
        "group": wait_for("a group of errors", lambda: first(page, address + GROUP)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="what the demo printed, such as http://127.0.0.1:8000/admin/jobs/")
    parser.add_argument("password")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder for the pictures (docs/images)")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(options.address))
    shown: dict[str, str] = {}
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
            size = {"width": width, "height": 1100 if width > 1000 else 900}
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page = sign_in(context, options.address, options.password)
            suffix = scheme if width > 1000 else "narrow"
            if not shown:
                shown = whatever_is_shown(page, options.address, origin)
                act(page, options.address)
            save_views(page, options.address)
            for name, path in PAGES.items():
                take(page, options.address + path, options.into, f"{name}-{suffix}")
            for name, path in shown.items():
                take(page, origin + path, options.into, f"{name}-{suffix}")
            take(page, options.address + "list/?span=1h", options.into, f"views-{suffix}", opened="#j-views > summary")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
