"""The pages over one worker, with the demo's catalog, in this process and for a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext

from tests.callers import Issuer
from worker.demo.catalog import DemoCatalog
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.pages.routes import pages_router
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

COOKIE = "session"


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
    async def window(self, token: str, *, width: int = 1440, scheme: str = "light") -> AsyncIterator[BrowserContext]:
        """Windows of somebody who is logged in. What the browser complains of fails the test."""
        context = await self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
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
