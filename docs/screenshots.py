"""Takes the pictures in docs/images from a running demo.

python3 manage.py demo                                    # in one shell; let it work for a few minutes
.venv/bin/python docs/screenshots.py ADDRESS PASSWORD     # in another one
"""

import argparse
import shutil
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
#: The one job that is shown: the first of this list. (Audits show licences, with names of people.)
JOB = "list/?span=1h&name=search.index_package&state=failed"
#: The one workflow: of the first job of this list.
WORKFLOW = "list/?span=1h&name=catalogue.choose"
#: The one group of errors: the first of this page.
GROUP = "errors/?span=1h"
#: Views that are saved, once, for the picture of them: name, address, whether everybody sees it.
VIEWS = (
    ("What failed this hour", "list/?state=failed&span=1h", True),
    ("My slow indexing", "list/?name=search.index_package&span=24h&sort=-run_time", False),
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


def take(page: Page, url: str, name: str, opened: str = "") -> None:
    """One picture, once the page has come to rest; `opened` is a menu that is opened for it."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    if opened:
        page.click(opened)
    page.screenshot(path=IMAGES / f"{name}.png", clip={"x": 0, "y": 0, **(page.viewport_size or {})})
    print(IMAGES / f"{name}.png")


def first(page: Page, url: str) -> str:
    """Where the first job of a list leads."""
    page.goto(url)
    return page.locator("tbody th a").first.get_attribute("href") or ""


def save_views(page: Page, address: str) -> None:
    """The views of the picture; one of the same name is written over."""
    for name, path, shared in VIEWS:
        page.goto(address + path)
        page.click("#j-views > summary")
        page.fill("#j-save-view [name=name]", name)
        page.set_checked("#j-save-view [name=shared]", shared)
        page.click("#j-save-view button")
        page.wait_for_load_state()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="what the demo printed, such as http://127.0.0.1:8000/admin/jobs/")
    parser.add_argument("password")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
            size = {"width": width, "height": 1100 if width > 1000 else 900}
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page = sign_in(context, options.address, options.password)
            suffix = scheme if width > 1000 else "narrow"
            job, workflow, group = (first(page, options.address + path) for path in (JOB, WORKFLOW, GROUP))
            save_views(page, options.address)
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(options.address))
            for name, path in PAGES.items():
                take(page, options.address + path, f"{name}-{suffix}")
            take(page, origin + job, f"job-{suffix}")
            take(page, origin + workflow + "workflow/", f"workflow-{suffix}")
            take(page, origin + group, f"group-{suffix}")
            take(page, options.address + "list/?span=1h", f"views-{suffix}", opened="#j-views > summary")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
