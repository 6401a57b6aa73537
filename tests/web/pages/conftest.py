"""The pages over one worker, with the demo's catalog; and browsers that look at them."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, async_playwright

from tests.callers import Issuer, api_settings
from tests.databases import new_database, new_settings
from tests.processes import Workers
from tests.web.pages.site import Alone, Site, with_pages
from worker.demo.keys import DemoKeys
from worker.demo.player import Player
from worker.demo.website import build_history, build_masquerade, serve_app
from worker.learners.service import ProgressService
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def app(shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers) -> FastAPI:
    app = with_pages(shared, issuer, service, readers)
    app.include_router(
        build_masquerade(DemoKeys(), service, readers.descriptions, Player(6, 1, datetime.now(UTC)).learners)
    )
    return app


@pytest.fixture
async def learner(service: ProgressService) -> UUID:
    """Somebody with four courses begun, one of them completed."""
    user = uuid4()
    _, applied = await service.publish_and_wait(list(build_history(user, datetime.now(UTC))))
    assert applied
    return user


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
