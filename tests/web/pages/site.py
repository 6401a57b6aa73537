"""The pages over one worker, with the demo's catalog, in this process and for a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.callers import Issuer
from worker.demo.catalog import DemoCatalog
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.pages.routes import pages_router
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

COOKIE = "session"
SERIOUS = ("serious", "critical")


def with_pages(settings: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers) -> FastAPI:
    return create_api(
        settings,
        PemKeys(issuer.key_file),
        service,
        readers=readers,
        cookie=COOKIE,
        pages=pages_router(DemoCatalog(), login="/login"),
    )


@dataclass
class Site:
    """The pages over HTTP, and a browser."""

    address: str
    issuer: Issuer
    browser: Browser

    @asynccontextmanager
    async def window(
        self, token: str, *, width: int = 1440, scheme: str = "light", zone: str = "UTC", scripts: bool = True
    ) -> AsyncIterator[BrowserContext]:
        """Windows of somebody who is logged in. What the browser complains of fails the test."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, timezone_id=zone, java_script_enabled=scripts
        )
        complaints: list[str] = []
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        await context.add_cookies([{"name": COOKIE, "value": token, "url": self.address, "httpOnly": True}])
        try:
            yield context
        finally:
            await context.close()
        assert complaints == []


@dataclass
class Alone:
    """A site over a database that nobody else uses."""

    site: Site
    database: str
    service: ProgressService


async def find_faults(page: Page, url: str, scheme: str, picture: Path | None) -> list[tuple[str, str]]:
    """Opens a page, unfolds it, and returns what axe finds serious, and whether it is wider than the window.

    Leaves a picture of the page as it opens, without what was unfolded.
    """
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # nothing half faded
    await page.goto(url)
    await expect(page.locator("h1")).to_be_visible()
    await page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    found = await Axe().run(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if picture is not None:
        await page.reload()
        picture.parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=picture, full_page=True)
    serious = [(v["id"], v["nodes"][0]["html"]) for v in found.response["violations"] if v["impact"] in SERIOUS]
    return serious + [("too wide", f"{overflow} px")] * (overflow > 0)
