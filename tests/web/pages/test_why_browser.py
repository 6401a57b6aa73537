"""Locks, sections and explanations in a real browser: they live, and a keyboard reaches them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from events import CatalogLesson, CoursePublished
from tests.databases import publish_version
from tests.web.pages.site import Site, find_faults
from worker.learners.service import ProgressService

pytestmark = pytest.mark.xdist_group("browser")

expect.set_options(timeout=20_000)

PARTS = {
    "The basics": ["What a language is", "Sounds", "First words", "Numbers"],
    "Everyday life": ["At the table", "In the city", "At work", "Small talk with people you do not know"],
    "Going further": ["The past", "The future", "Telling a story", "A letter"],
}


def write_course(course: UUID, version: int = 1, *more: str, before: UUID | None = None) -> CoursePublished:
    """Twelve lessons in three parts, of which one is optional and three require others, and `more`."""
    lessons = []
    for part, titles in PARTS.items():
        for title in titles:
            requires = (
                (lessons[-1].lesson_id,) if title in ("Small talk with people you do not know", "A letter") else ()
            )
            lessons.append(
                CatalogLesson(
                    lesson_id=title, title=title, section=part, requires=requires, required=title != "Numbers"
                )
            )
    added = tuple(CatalogLesson(lesson_id=title, title=title, section="Going further") for title in more)
    courses = (before,) if before else ()
    return CoursePublished(
        course_id=course,
        version=version,
        title="Italian for travellers",
        lessons=(*lessons, *added),
        requires_courses=courses,
    )


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def learner_of(service: ProgressService, rows: asyncpg.Connection, course: UUID) -> UUID:
    """Somebody with five of eleven required lessons, and the optional one."""
    user = uuid4()
    await publish_version(rows, write_course(course))
    for title in [*PARTS["The basics"], "At the table", "In the city"]:
        await service.mark_lesson_complete(user, course, title)
    return user


@pytest.fixture
async def page(site: Site, learner_of: UUID) -> AsyncIterator[Page]:
    async with site.window(site.issuer.token(learner_of)) as window:
        page = await window.new_page()
        await page.goto(site.address)
        yield page


async def test_a_version_that_is_published_changes_bar_hero_and_explanation_without_reload(
    page: Page, course: UUID, rows: asyncpg.Connection
) -> None:
    await page.evaluate("window.never = 'reloaded'")
    card = page.locator(f"#course-{course}")
    await expect(card.locator("> progress")).to_have_js_property("value", 45)
    await card.get_by_role("button", name="45% Why?").click()
    await expect(card.locator(".why-answer")).to_have_text(
        "You have 5 of the 11 lessons that this course needs. 6 are left."
    )
    await publish_version(rows, write_course(course, 2, "Poems", "Songs", "Jokes"), datetime.now(UTC))

    await expect(card.locator("> progress")).to_have_js_property("value", 36)
    await expect(page.locator(".hero text")).to_have_text("36%")
    await expect(card.locator(".why-answer")).to_have_text(
        "You have 5 of the 14 lessons that this course needs. 9 are left."
    )
    await expect(card.locator(".answers")).to_contain_text("needs 14 lessons; version 1 needed 11.")
    await expect(page.get_by_role("button", name="Poems completed")).to_be_visible()
    assert await page.evaluate("window.never") == "reloaded"


async def test_a_click_changes_an_explanation_that_is_open_and_what_is_unfolded_stays_so(
    page: Page, course: UUID
) -> None:
    card = page.locator(f"#course-{course}")
    await card.get_by_role("button", name="45% Why?").click()
    counts = card.locator("summary", has_text="Done, and it counts")
    await counts.click()
    await page.get_by_role("button", name="At work completed").click()

    await expect(card.locator(".why-answer")).to_contain_text("You have 6 of the 11 lessons")
    await expect(card.locator(".sums")).to_contain_text("6 of 11")
    await expect(counts.locator("..")).to_have_attribute("open", "")
    await expect(counts.locator("..")).to_contain_text("At work")


async def test_a_locked_lesson_says_what_comes_first_sends_nothing_and_opens_in_the_same_frame(
    page: Page, course: UUID
) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "complete" in request.url else None)
    talk = page.get_by_role("button", name="Small talk with people you do not know completed")
    await expect(talk).to_have_accessible_description("Complete “At work” first")
    await expect(talk).to_have_attribute("aria-disabled", "true")
    await talk.click(force=True)  # it looks disabled
    await expect(page.locator("#toast")).to_have_text(
        "“Small talk with people you do not know” is locked. Complete “At work” first."
    )
    assert asked == []
    await page.route("**/api/progress/complete", lambda _: None)  # never answered
    await page.get_by_role("button", name="At work completed").click()

    await expect(talk).not_to_have_attribute("aria-disabled", "true")
    await expect(page.locator("[data-lock]", has_text="“At work”")).to_have_count(0)


async def test_a_course_that_requires_another_is_locked_with_its_reason(
    site: Site, service: ProgressService, rows: asyncpg.Connection, course: UUID
) -> None:
    user, before = uuid4(), uuid4()
    lessons = (CatalogLesson(lesson_id="a", title="Packing"),)
    await publish_version(rows, CoursePublished(course_id=before, version=1, title="How to travel", lessons=lessons))
    await publish_version(rows, write_course(course, before=before))
    await service.update_last_accessed(user, course)
    async with site.window(site.issuer.token(user)) as window:
        page = await window.new_page()
        await page.goto(site.address)
        card = page.locator(f"#course-{course}")
        await expect(card.locator(".locked")).to_have_text("Complete “How to travel” first: it opens this course.")
        await card.locator("summary", has_text="Lessons").first.click()
        await card.get_by_role("button", name="Sounds completed").click(force=True)
        await expect(page.locator("#toast")).to_contain_text("Complete “How to travel” first")
        await service.mark_lesson_complete(user, before, "a")

        await expect(card.locator(".locked")).to_have_count(0)
        await expect(card.get_by_role("button", name="Sounds completed")).to_be_enabled()


async def test_the_keyboard_alone_opens_and_closes_an_explanation(page: Page, course: UUID) -> None:
    why = page.locator(f"#course-{course} .percent [data-why]")
    await why.focus()
    await expect(why).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("Space")
    await expect(page.locator(f"#why-{course}")).to_be_visible()
    await expect(why).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")

    await expect(page.locator(f"#why-{course}")).to_be_hidden()
    await expect(why).to_have_attribute("aria-expanded", "false")
    await expect(why).to_be_focused()


async def test_the_ring_opens_the_explanation_of_its_course(page: Page, course: UUID) -> None:
    await page.locator(".ring-link").click()

    await expect(page.locator(f"#why-{course}")).to_be_focused()
    await expect(page.locator(f"#why-{course} .why-answer")).to_be_visible()


async def test_without_scripts_the_percentage_leads_to_a_page(site: Site, learner_of: UUID, course: UUID) -> None:
    async with site.window(site.issuer.token(learner_of), scripts=False) as window:
        page = await window.new_page()
        await page.goto(site.address)
        await page.get_by_role("link", name="45% Why?").click()

        await expect(page.locator("h1")).to_have_text("Why 45%?")
        assert page.url == f"{site.address}/courses/{course}/why"


async def test_an_explanation_that_cannot_be_fetched_says_so(page: Page, course: UUID) -> None:
    await page.route("**/why", lambda route: route.abort())
    await page.get_by_role("button", name="45% Why?").click()

    await expect(page.locator("#toast")).to_contain_text("There is no answer")
    await expect(page.locator(f"#why-{course}")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1440])
async def test_explanations_fit_the_window_and_axe_finds_nothing_serious(
    site: Site, learner_of: UUID, course: UUID, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    directory = request.config.getoption("--screenshots")
    picture = Path(directory) / f"why-{scheme}-{width}.png" if directory else None
    async with site.window(site.issuer.token(learner_of), width=width, scheme=scheme) as window:
        page = await window.new_page()
        assert await find_faults(page, f"{site.address}/courses/{course}/why", scheme, picture) == []
        await page.goto(site.address)
        await page.get_by_role("button", name="45% Why?").click()
        await expect(page.locator(f"#why-{course}")).to_be_visible()
        assert await find_faults_here(page) == []
        if picture is not None:
            await page.screenshot(path=picture.with_name(f"card-{picture.name}"), full_page=True)


async def find_faults_here(page: Page) -> list[str]:
    """Returns what axe finds in the page as it stands, and whether it is wider than the window."""
    found = await Axe().run(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    serious = [v["id"] for v in found.response["violations"]]
    return serious + [f"too wide: {overflow} px"] * (overflow > 0)
