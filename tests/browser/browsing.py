"""A headless Chromium that looks at pages as readers do, and notes what goes wrong in them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
LOCAL = ("file:", "data:", "blob:")
PHONE, DESK = 375, 1280


@dataclass
class Visit:
    """A page that is open.

    Attributes
    ----------
    troubles : messages of its console that are no mere information, errors of its scripts, requests that left it.
    """

    page: Page
    troubles: list[str] = field(default_factory=list)

    def scroll_through(self) -> None:
        """Bring everything into sight once, and wait until all figures are alive."""
        height = self.page.evaluate("document.body.scrollHeight")
        for place in range(0, height, 600):
            self.page.evaluate(f"scrollTo(0, {place})")
            self.page.wait_for_timeout(20)
        self.page.wait_for_function(
            "[...document.querySelectorAll('figure:has(> script)')].every(f => f.matches('.alive'))"
        )

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def column(self, table: str, number: int) -> list[str]:
        """The texts of the shown cells of a table's column, from 1."""
        return self.page.locator(f"{table} tbody tr > :nth-child({number})").all_inner_texts()


@contextmanager
def visiting(address: str, width: int = DESK, scheme: str = "light", scripts: bool = True) -> Iterator[Visit]:
    """The page at an address, as a person sees it who has a window of this width."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        visit = Visit(page)
        page.on("console", lambda said: said.type in ("error", "warning") and visit.troubles.append(said.text))
        page.on("pageerror", lambda error: visit.troubles.append(str(error)))
        page.on("request", lambda sent: sent.url.startswith(LOCAL) or visit.troubles.append(f"asked for {sent.url}"))
        page.goto(address)
        if scripts and page.locator("script[type=module]").count():
            page.wait_for_selector("html[data-ready]")
        yield visit
        browser.close()


def broken_links(visit: Visit, path: Path) -> list[str]:
    """Links of a page in a file that lead nowhere: to no file, or to no element of the page."""
    addresses = visit.page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    broken = []
    for address in dict.fromkeys(addresses):
        to, anchor = urldefrag(address)
        if urlparse(to).scheme:
            continue
        target = path.parent / unquote(to) if to else path
        here = not to and anchor and not visit.page.locator(f"[id='{anchor}']").count()
        if here or not target.exists():
            broken.append(address)
    return broken
