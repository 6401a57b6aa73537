"""The pages over one worker, with the demo's catalog; and browsers that look at them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.conftest import new_database, new_settings
from tests.processes import Workers
from tests.web.conftest import Issuer, api_settings, issuer, readers, service, shared
from worker.demo.catalog import DemoCatalog
from worker.demo.keys import DemoKeys
from worker.demo.player import Player
from worker.demo.website import build_history, build_masquerade, serve_app
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.pages.routes import pages
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

__all__ = ["issuer", "readers", "service", "shared"]  # fixtures

CHROMIUM = Path("/usr/bin/chromium")
COOKIE = "session"


def with_pages(settings: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers) -> FastAPI:
    return create_api(
        settings,
        PemKeys(issuer.key_file),
        service,
        readers=readers,
        cookie=COOKIE,
        pages=pages(DemoCatalog(), login="/login"),
    )


@pytest.fixture
def app(shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers) -> FastAPI:
    app = with_pages(shared, issuer, service, readers)
    app.include_router(build_masquerade(DemoKeys(), service, Player(6, 1, datetime.now(UTC)).learners))
    return app


@pytest.fixture
async def learner(service: ProgressService) -> UUID:
    """Somebody with four courses begun, one of them completed."""
    user = uuid4()
    _, applied = await service.apply(list(build_history(user, datetime.now(UTC))))
    assert applied
    return user


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


@pytest.fixture(scope="package")
def chromium() -> Path:
    if not CHROMIUM.exists():
        if os.environ.get("REQUIRE_SERVERS"):
            pytest.fail(f"{CHROMIUM} is missing")
        pytest.skip(f"{CHROMIUM} is missing")
    return CHROMIUM


@pytest.fixture(scope="package")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Chromium's sandbox refuses root, which CI is.
        browser = await playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.geteuid() != 0)
        yield browser
        await browser.close()


@pytest.fixture
async def site(app: FastAPI, shared: ApiSettings, issuer: Issuer, browser: Browser) -> AsyncIterator[Site]:
    async with serve_app(app, shared) as serving:
        yield Site(serving.address, issuer, browser)


@dataclass
class Alone:
    """A site over a database that nobody else uses."""

    site: Site
    database: str
    service: ProgressService


@pytest.fixture
async def alone(
    admin_url: str, template: str, kafka_bootstrap_servers: str, issuer: Issuer, browser: Browser
) -> AsyncIterator[Alone]:
    async with new_database(admin_url, template) as url:
        settings = api_settings(await new_settings(url, kafka_bootstrap_servers), issuer)
        with Workers(settings) as workers:
            workers.start()
            async with ProgressService(settings) as service, Readers(settings) as readers:
                app = with_pages(settings, issuer, service, readers)
                async with serve_app(app, settings) as serving:
                    yield Alone(Site(serving.address, issuer, browser), url.rpartition("/")[2], service)
