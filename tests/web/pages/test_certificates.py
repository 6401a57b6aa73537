"""A card of "My learning" shows the best certificate of its course; the public page shows each state of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import FastAPI
from playwright.async_api import Page, expect

from events import CatalogLesson, CoursePublished
from tests.databases import publish_version
from tests.issued import CountingRenderer, issue, new_code
from tests.web.pages.site import Site, find_faults
from worker.certificates.certificate import Certificate
from worker.certificates.reads import IssuedCertificate
from worker.demo.player import COURSES
from worker.web.certificates import CertificateService
from worker.web.pages.certificates import add_certificates, choose_best, describe
from worker.web.pages.learning import CourseCard
from worker.web.settings import ApiSettings

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = datetime(2026, 11, 29, 12, tzinfo=UTC)
COURSE = uuid4()
BAKING = next(course for course in COURSES if course.title == "Baking bread")  # which the learner has completed
STATES: dict[str, dict[str, Any]] = {
    "valid": {},
    "revoked": {"status": "revoked", "status_at": SINCE, "reason": "learner"},
    "by-hand": {
        "status": "revoked",
        "status_at": SINCE,
        "reason": "The examination was taken by somebody else.",
        "revoked_by_hand": True,
    },
    "withdrawn": {"status": "withdrawn", "status_at": SINCE, "reason": "waived"},
    "extended": {"course_id": COURSE},
    "unlisted": {"listed": False},
    "unlisted-revoked": {"listed": False, "status": "revoked", "status_at": SINCE, "reason": "learner"},
    "long": {"name": "Maria " + "de la Concepción" * 5, "title": "Donaudampfschifffahrtsgesellschaft" * 4},
}

pytestmark = pytest.mark.xdist_group("browser")
CARD = CourseCard(COURSE, "Statistics", 100, 1, 1, 1, True, True, "", NOON, (), 0, 0, None, 0)


def issued(version: int, **changed: object) -> IssuedCertificate:
    frozen = Certificate(f"code{version}", uuid4(), COURSE, version, 1, "Ada", "S", date(2026, 11, 22), NOON, NOON)
    found = IssuedCertificate(frozen, "valid", NOON, None, False, True, "{}", False)
    return replace(found, **changed)


def add(found: list[IssuedCertificate], card: CourseCard = CARD, *, owed: bool = True, after: int = 1) -> CourseCard:
    def is_owed(_: UUID) -> bool:
        return owed

    [added] = add_certificates(
        [card], found, "https://learn.example/{}".format, is_owed, NOON + timedelta(minutes=after)
    )
    return added


def test_a_valid_certificate_is_shown_before_one_of_a_later_version_that_is_not() -> None:
    assert choose_best([issued(3, status="revoked"), issued(1), issued(2)])[COURSE].certificate.course_version == 2


def test_a_card_shows_the_certificate_and_its_link() -> None:
    card = add([issued(1)]).certificate

    assert card is not None
    assert (card.code, card.link, card.is_valid, card.listed) == ("code1", "https://learn.example/code1", True, True)


@pytest.mark.parametrize(
    ("card", "owed", "after", "awaited"),
    [
        (CARD, True, 1, True),
        (CARD, False, 1, False),
        (CARD, True, 11, False),
        (replace(CARD, is_complete=False), True, 1, False),
    ],
)
def test_a_certificate_is_awaited_for_some_minutes_where_one_is_owed(
    card: CourseCard, owed: bool, after: int, awaited: bool
) -> None:
    assert add([], card, owed=owed, after=after).awaits_certificate is awaited


def test_the_version_is_named_only_when_there_is_a_later_one() -> None:
    assert describe(issued(2)) == "Completed on 22 November 2026"
    assert describe(issued(2, extended=True)) == "Completed on 22 November 2026 · version 2 of the course"
    assert describe(issued(2, status="withdrawn")) == "Withdrawn on 22 November 2026"


@pytest.fixture
async def mine(site: Site, learner: UUID, rows: asyncpg.Connection) -> str:
    """Gives the learner's completed course a certificate, and returns its code."""
    return await issue(rows, learner, BAKING.id, title=BAKING.title)


@pytest.fixture
async def page(site: Site, learner: UUID, mine: str) -> AsyncIterator[Page]:
    """Opens My learning of somebody with a certificate."""
    async with site.window(site.issuer.token(learner)) as window:
        await window.grant_permissions(["clipboard-read", "clipboard-write"])
        page = await window.new_page()
        await page.goto(site.address)
        yield page


@pytest.fixture
async def extended(rows: asyncpg.Connection) -> None:
    """Publishes two versions of COURSE."""
    if not await rows.fetchval("select 1 from course_version where course_id = $1", COURSE):
        lesson = CatalogLesson(lesson_id="a", title="A")
        for version in (1, 2):
            await publish_version(
                rows, CoursePublished(course_id=COURSE, version=version, title="Statistics", lessons=(lesson,))
            )


async def test_the_learner_unlists_the_certificate_and_lists_it_again(
    page: Page, mine: str, rows: asyncpg.Connection
) -> None:
    switch = page.get_by_role("switch")
    await expect(switch).to_have_attribute("aria-checked", "true")
    for listed, said in ((False, "only whether"), (True, "again")):
        await switch.click()
        await expect(page.locator("#toast")).to_contain_text(said)
        assert await rows.fetchval("select listed from certificate where code = $1", mine) is listed
    await page.route("**/api/certificates/*", lambda route: route.abort())
    await switch.click()
    await expect(page.locator("#toast")).to_contain_text("may not be saved")
    await expect(switch).to_have_attribute("aria-checked", "true")


async def test_the_link_is_copied(page: Page, mine: str) -> None:
    await page.get_by_role("button", name="Share link of the certificate").click()
    await expect(page.locator("#toast")).to_contain_text("copied")

    assert await page.evaluate("navigator.clipboard.readText()") == f"https://learn.example/verify/{mine}"


async def test_the_certificate_is_downloaded(
    page: Page, mine: str, app: FastAPI, shared: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with CertificateService(shared, CountingRenderer()) as service:
        monkeypatch.setattr(app.state.readers, "certificates", service)
        async with page.expect_download() as started:
            await page.get_by_role("link", name="Download the certificate").click()
        downloaded = await started.value

    assert downloaded.suggested_filename == f"certificate-{mine[:8]}.pdf"
    assert (await downloaded.path()).read_bytes().startswith(b"%PDF Ada Lovelace")


async def test_a_certificate_that_comes_late_appears_by_itself(
    site: Site, learner: UUID, rows: asyncpg.Connection, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = app.state.readers.certificates
    monkeypatch.setattr(service, "settings", service.settings.model_copy(update={"certificates_without_catalog": True}))
    await rows.execute(
        "update course_progress_all set completed_at = now() where user_id = $1 and course_id = $2",
        learner,
        BAKING.id,
    )
    async with site.window(site.issuer.token(learner)) as window:
        page = await window.new_page()
        await page.goto(site.address)
        card = page.locator(f"#course-{BAKING.id}")
        await expect(card).to_contain_text("Your certificate is being made")
        await issue(rows, learner, BAKING.id)
        await expect(card).to_contain_text("Completed on")


@pytest.mark.usefixtures("extended")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
@pytest.mark.parametrize("state", [*STATES, "unknown"])
async def test_the_public_page_fits_the_window_and_axe_finds_nothing_serious(
    site: Site, rows: asyncpg.Connection, state: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    code = new_code() if state == "unknown" else await issue(rows, uuid4(), **STATES[state])
    directory = request.config.getoption("--screenshots")
    picture = Path(directory) / f"verify-{state}-{scheme}-{width}.png" if directory else None
    async with site.window("", width=width, scheme=scheme) as window:
        assert await find_faults(await window.new_page(), f"{site.address}/verify/{code}", scheme, picture) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
async def test_the_card_fits_the_window_and_axe_finds_nothing_serious(
    site: Site,
    learner: UUID,
    mine: str,
    rows: asyncpg.Connection,
    width: int,
    scheme: str,
    request: pytest.FixtureRequest,
) -> None:
    directory = request.config.getoption("--screenshots")
    for state in ("valid", "revoked"):
        await rows.execute("update certificate set status = $2 where code = $1", mine, state)
        picture = Path(directory) / f"card-{state}-{scheme}-{width}.png" if directory else None
        async with site.window(site.issuer.token(learner), width=width, scheme=scheme) as window:
            assert await find_faults(await window.new_page(), site.address, scheme, picture) == []
