"""Streak and badges in a real browser: what is there, what comes, and what is celebrated once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.web.pages.site import Site, find_faults

pytestmark = pytest.mark.xdist_group("browser")

DAY = timedelta(days=1)
PAST = (
    ("first-course", "First course", "Complete a course."),
    ("hundred-lessons", "A hundred lessons", "Complete a hundred."),
)


async def study(rows: asyncpg.Connection, user: UUID, days_ago: Sequence[int]) -> None:
    noon = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await rows.executemany(
        "insert into active_instant (user_id, at) values ($1, $2)", [(user, noon - ago * DAY) for ago in days_ago]
    )


async def award(rows: asyncpg.Connection, user: UUID, id: str, title: str, about: str, *, fresh: bool) -> None:
    now = datetime.now(UTC)
    await rows.execute(
        "insert into badge_award (user_id, badge, number, title, description, earned_on, awarded_at, cause, fresh)"
        " values ($1, $2, 1, $3, $4, $5, $6, $7, $8)",
        *(user, id, title, about, now.date(), now, "learner" if fresh else "rule-changed", fresh),
    )


async def fill(rows: asyncpg.Connection, user: UUID) -> None:
    await study(rows, user, [0, 1, 2, 3, 6, 7, 8, 9, 10, 13, 15, 16, 20, 21, 22, 29])
    for badge in PAST:
        await award(rows, user, *badge, fresh=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
async def test_streak_and_badges_fit_the_window_and_axe_finds_nothing_serious(
    site: Site, learner: UUID, rows: asyncpg.Connection, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    await fill(rows, learner)
    await award(rows, learner, "streak-7", "A week", "Complete a lesson on seven days in a row.", fresh=True)
    async with site.window(site.issuer.token(learner), width=width, scheme=scheme) as window:
        page = await window.new_page()
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.goto(site.address)
        await expect(page.get_by_role("heading", name="Streak")).to_be_visible()
        await expect(page.locator("#celebration")).to_contain_text("A week")
        if directory := request.config.getoption("--screenshots"):
            await page.screenshot(path=Path(directory) / f"achievements-{scheme}-{width}.png", full_page=True)
        assert await find_faults(page, site.address, scheme, None) == []


async def test_a_badge_that_comes_is_told_by_the_stream_and_celebrated_once(
    site: Site, learner: UUID, rows: asyncpg.Connection
) -> None:
    async with site.window(site.issuer.token(learner)) as window:
        page = await window.new_page()
        await page.goto(site.address)
        await study(rows, learner, [0])
        await award(rows, learner, *PAST[0], fresh=False)
        async with page.expect_response(lambda response: response.request.resource_type == "fetch"):
            await page.reload()  # a snapshot of the stream has the page fetched once more
        await expect(page.locator(".badge-title").first).to_have_text("First course")
        before = await measure(page)
        await award(rows, learner, "streak-7", "A week", "Seven days in a row.", fresh=True)

        await expect(page.locator("#celebration")).to_contain_text("A week")
        assert await measure(page) == before
        await expect(page.locator("[data-new] .badge-title")).to_have_text("A week New")
        await page.reload()
        await expect(page.locator("[data-new] .badge-title")).to_have_text("A week New")
        await expect(page.locator("#celebration")).to_be_empty()


async def measure(page: Page) -> object:
    """Returns where the first course stands."""
    return await page.locator(".courses").bounding_box()


async def test_who_has_earned_nothing_sees_neither_streak_nor_badges(site: Site, learner: UUID) -> None:
    async with site.window(site.issuer.token(learner)) as window:
        page = await window.new_page()
        await page.goto(site.address)

        await expect(page.get_by_role("heading", name="Courses")).to_be_visible()
        await expect(page.get_by_role("heading", name="Streak")).to_have_count(0)
        await expect(page.locator("[data-live=achievements]")).to_be_hidden()
