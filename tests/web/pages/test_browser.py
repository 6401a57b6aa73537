"""The pages in a real browser, over real Kafka, real PostgreSQL and a worker."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from events.catalog import CatalogLesson, CoursePublished
from tests.databases import execute, learners, publish_version
from tests.processes import eventually
from tests.web.pages.site import Alone, Site, find_faults
from worker.demo.player import COURSES
from worker.learners.service import ProgressService
from worker.web.auth import LEEWAY_S, Scope
from worker.web.settings import ApiSettings

STATISTICS = next(course for course in COURSES if course.title == "Statistics")
PATHS = {
    "learning": "/",
    "course": f"/courses/{STATISTICS.id}",
    "operations": "/ops",
    "demo": "/demo",
    "publish": f"/courses/publish?course={STATISTICS.id}",
}

pytestmark = pytest.mark.xdist_group("browser")

expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
async def studied(shared: ApiSettings) -> None:
    """Gives the course enough learners for every figure, and fewer with every lesson."""
    connection = await asyncpg.connect(shared.database_url.get_secret_value())
    try:
        for done in range(1, STATISTICS.lessons + 1):
            lessons = [STATISTICS.lesson(number) for number in range(1, done + 1)]
            number = 30 if done == STATISTICS.lessons else 3 + 7 * (done % 5 == 0)
            await learners(connection, STATISTICS.id, number, lessons, total=STATISTICS.lessons)
    finally:
        await connection.close()


@pytest.fixture(scope="package")
async def recounted(shared: ApiSettings) -> None:
    """Gives Operations courses with long names in every table about versions."""
    connection = await asyncpg.connect(shared.database_url.get_secret_value())
    try:
        for number in range(3):
            lesson = CatalogLesson(lesson_id="a")
            version = CoursePublished(course_id=uuid4(), version=1, title=f"A name {number} " * 8, lessons=(lesson,))
            await publish_version(connection, version, datetime.now(UTC))
    finally:
        await connection.close()


@pytest.fixture
def everything(site: Site, learner: UUID) -> str:
    """Returns the token of a learner who may see every page."""
    return site.issuer.token(learner, " ".join(Scope), courses="*")


@pytest.fixture
async def page(site: Site, everything: str) -> AsyncIterator[Page]:
    """Opens My learning."""
    async with site.window(everything) as window:
        page = await window.new_page()
        await page.goto(site.address)
        yield page


async def test_a_lesson_keeps_its_place_so_that_the_next_click_is_for_the_same(
    page: Page, learner: UUID, service: ProgressService
) -> None:
    """Lessons of a course without a catalog stand in the order of their latest change."""
    course = uuid4()
    for lesson in "abc":
        await service.mark_lesson_complete(learner, course, lesson, 4)
    await page.reload()
    card = page.locator(f"#course-{course}")
    await card.locator("summary").click()
    first = card.locator("button").first
    await first.click()
    await expect(card.locator(".facts")).to_contain_text("2 of 4 lessons")  # by the server

    await expect(first).to_have_attribute("data-lesson", "a")
    await expect(first).to_be_focused()


async def test_a_click_that_a_later_event_overrules_is_taken_back_with_a_message(
    site: Site, page: Page, learner: UUID, service: ProgressService
) -> None:
    """The later event comes from a device whose clock is ahead."""
    soon = datetime.now(UTC) + timedelta(minutes=4)
    lesson = STATISTICS.lesson(5)
    await service.mark_lesson_incomplete(learner, STATISTICS.id, lesson, STATISTICS.lessons, occurred_at=soon)
    button = page.get_by_role("button", name="Lesson 5 completed")
    await button.click()

    await expect(page.locator("#toast")).to_contain_text("“Lesson 5” stays as it was")
    await expect(button).to_have_attribute("aria-pressed", "false")


async def test_a_lesson_that_is_clicked_moves_the_bar_in_another_window_without_reload(
    site: Site, page: Page, learner: UUID, service: ProgressService
) -> None:
    other = await page.context.new_page()
    await other.goto(site.address)
    await other.evaluate("window.never = 'reloaded'")
    await page.get_by_role("button", name="Lesson 4 completed").click()

    bar = other.locator(f"#course-{STATISTICS.id} > progress")
    await expect(bar).to_have_js_property("value", 20)
    await expect(other.get_by_role("button", name="Lesson 4 completed")).to_have_attribute("aria-pressed", "true")
    await expect(other.locator("[data-live=glance] dd").nth(2)).to_have_text("24")
    assert await other.evaluate("window.never") == "reloaded"
    assert await service.is_lesson_completed(learner, STATISTICS.id, STATISTICS.lesson(4))


async def test_a_completion_is_taken_back_by_a_second_click(
    page: Page, learner: UUID, service: ProgressService
) -> None:
    async def taken_back() -> bool:
        return not await service.is_lesson_completed(learner, STATISTICS.id, STATISTICS.lesson(3))

    await page.get_by_role("button", name="Lesson 3 completed").click()
    await eventually(taken_back)

    await expect(page.locator(f"#course-{STATISTICS.id} > progress")).to_have_js_property("value", 10)


async def test_a_lesson_is_toggled_with_the_keyboard_alone(page: Page, learner: UUID, service: ProgressService) -> None:
    async def applied() -> bool:
        return await service.is_lesson_completed(learner, STATISTICS.id, STATISTICS.lesson(4))

    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate(
            "document.activeElement.matches('.lesson') && document.activeElement.textContent.includes('Lesson 4')"
        ):
            break
    await page.keyboard.press("Space")
    await eventually(applied)

    button = page.get_by_role("button", name="Lesson 4 completed")
    await expect(button).to_have_attribute("aria-pressed", "true")
    await expect(button).to_be_focused()  # also when the page has been brought up to date


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (503, "may not be saved"),
        (429, "try again in 7 s"),
        (401, "no longer logged in"),
        (202, "takes longer than usual"),
    ],
)
async def test_a_click_that_is_not_applied_goes_back_and_says_so(page: Page, status: int, said: str) -> None:
    await page.route(
        "**/api/progress/complete", lambda route: route.fulfill(status=status, headers={"Retry-After": "7"}, body="{}")
    )
    await page.get_by_role("button", name="Lesson 4 completed").click()

    await expect(page.locator("#toast")).to_contain_text(said)
    await expect(page.get_by_role("button", name="Lesson 4 completed")).to_have_attribute("aria-pressed", "false")
    await expect(page.locator(f"#course-{STATISTICS.id} > progress")).to_have_js_property("value", 15)


async def test_a_click_on_a_lesson_that_requires_another_goes_back_and_the_lesson_says_why(
    site: Site, service: ProgressService, rows: asyncpg.Connection
) -> None:
    """The page does not know yet that another device has taken the first lesson back."""
    user, course = uuid4(), uuid4()
    first = CatalogLesson(lesson_id="a", title="Basics")
    second = CatalogLesson(lesson_id="b", title="Verbs", requires=("a",))
    await publish_version(rows, CoursePublished(course_id=course, version=1, lessons=(first, second)))
    await service.mark_lesson_complete(user, course, "a", 2)
    async with site.window(site.issuer.token(user)) as window:
        page = await window.new_page()
        await page.add_init_script("window.EventSource = class extends EventTarget { close() {} };")
        await page.goto(site.address)
        verbs = page.get_by_role("button", name="Verbs completed")
        card = page.locator(f"#course-{course}")
        await service.mark_lesson_incomplete(user, course, "a", 2)
        await verbs.click()

        await expect(page.locator("#toast")).to_have_text("“Verbs” is not saved. Complete “Basics” first.")
        await expect(verbs).to_have_attribute("aria-pressed", "false")
        await expect(card.locator("> progress")).to_have_js_property("value", 0)
        await expect(verbs).to_have_accessible_description("Complete “Basics” first")  # by the server
        await expect(card.locator("[data-refused]")).to_have_count(0)


async def test_a_click_without_a_connection_goes_back_and_says_so(page: Page) -> None:
    await page.route("**/api/progress/complete", lambda route: route.abort())
    await page.get_by_role("button", name="Lesson 4 completed").click()

    await expect(page.locator("#toast")).to_contain_text("no answer")
    await expect(page.get_by_role("button", name="Lesson 4 completed")).to_have_attribute("aria-pressed", "false")


async def test_a_click_says_the_catalogs_total_whatever_the_stream_tells(site: Site, service: ProgressService) -> None:
    learner = uuid4()
    await service.mark_lesson_complete(learner, STATISTICS.id, STATISTICS.lesson(1), 2)
    async with site.window(site.issuer.token(learner)) as window:
        page = await window.new_page()
        await page.goto(site.address)
        await page.route(f"{site.address}/", lambda _: None)  # what changes is told by the stream alone
        await service.mark_lesson_complete(learner, STATISTICS.id, STATISTICS.lesson(2), 2)
        await expect(page.locator(f"#course-{STATISTICS.id} > progress")).to_have_js_property("value", 100)
        async with page.expect_request("**/api/progress/complete") as sent:
            await page.get_by_role("button", name="Lesson 3 completed").click()
        said = (await sent.value).post_data_json

    assert said["totalLessons"] == STATISTICS.lessons


async def test_a_stream_that_falls_silent_is_opened_again_once(site: Site, everything: str) -> None:
    asked = []
    async with site.window(everything) as window:
        page = await window.new_page()
        await page.clock.install()
        await page.route("**/api/progress/stream", lambda route: asked.append(route))  # never answered
        await page.goto(site.address)
        await page.clock.fast_forward(41_000)
        await expect(page.locator("#banner")).to_contain_text("The connection is lost")
        await page.clock.fast_forward(4_000)

        async def again() -> bool:
            return len(asked) == 2

        await eventually(again)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo", "UTC"])
async def test_the_first_visit_shows_weeks_by_the_browsers_zone_alone(site: Site, everything: str, zone: str) -> None:
    async with site.window(everything, zone=zone) as window:
        page = await window.new_page()
        # Notes each text that the weeks have while they can be seen.
        await page.add_init_script(
            """window.seen = new Set();
            const look = () => {
              const said = document.querySelector('[data-live="weeks"] figcaption p');
              if (said && getComputedStyle(said).visibility === "visible") seen.add(said.textContent);
              requestAnimationFrame(look);
            };
            look();"""
        )
        await page.goto(site.address)
        said = f"Last twelve weeks, by {zone}"
        await expect(page.get_by_text(said)).to_be_visible()

        assert await page.evaluate("[...seen]") == [said]
        await page.reload()
        await expect(page.get_by_text(said)).to_be_visible()
        assert not await page.evaluate("document.documentElement.classList.contains('other-zone')")


async def test_weeks_are_by_utc_without_scripts_and_where_the_page_cannot_be_fetched_again(
    site: Site, everything: str
) -> None:
    said = "Last twelve weeks, by UTC"
    async with site.window(everything, zone="Asia/Tokyo", scripts=False) as window:
        page = await window.new_page()
        await page.goto(site.address)
        await expect(page.get_by_text(said)).to_be_visible()
    async with site.window(everything, zone="Asia/Tokyo") as window:
        page = await window.new_page()
        await page.route("**/static/learning.js*", lambda route: route.abort())
        await page.goto(site.address)
        await expect(page.get_by_text(said)).to_be_visible()


async def test_an_expired_token_is_not_shown_as_a_lost_connection(site: Site, learner: UUID) -> None:
    ends_soon = site.issuer.token(learner, exp=int(time.time()) - LEEWAY_S + 5)
    async with site.window(ends_soon) as window:
        page = await window.new_page()
        await page.goto(site.address)
        await expect(page.locator(f"#course-{STATISTICS.id}")).to_be_visible()

        await expect(page.locator("#banner")).to_contain_text("no longer logged in")


async def test_resume_leads_to_the_next_lesson(page: Page) -> None:
    await page.get_by_role("link", name="Resume").click()

    await expect(page.get_by_role("button", name="Lesson 4 completed")).to_be_focused()


async def test_the_page_says_that_the_database_is_away_and_recovers(alone: Alone, admin_url: str) -> None:
    user, course = uuid4(), STATISTICS
    await alone.service.mark_lesson_complete(user, course.id, course.lesson(1), course.lessons)
    async with alone.site.window(alone.site.issuer.token(user)) as window:
        page = await window.new_page()
        await page.goto(alone.site.address)
        await execute(admin_url, f"alter database {alone.database} allow_connections false")
        await execute(
            admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{alone.database}'"
        )
        await expect(page.locator("#banner")).to_contain_text("database is away")
        await page.get_by_role("button", name="Lesson 2 completed").click()
        await expect(page.get_by_role("button", name="Lesson 2 completed")).to_have_attribute("aria-pressed", "false")
        await execute(admin_url, f"alter database {alone.database} allow_connections true")

        await expect(page.locator("#banner")).to_be_empty()
        # Kafka had the click all the time.
        await expect(page.get_by_role("button", name="Lesson 2 completed")).to_have_attribute("aria-pressed", "true")


async def test_operations_say_that_the_database_is_away_and_recover(alone: Alone, admin_url: str) -> None:
    async with alone.site.window(alone.site.issuer.token(uuid4(), "ops")) as window:
        page = await window.new_page()
        await page.goto(f"{alone.site.address}/ops")
        await expect(page.locator(".word")).to_have_text("All is well")
        await execute(admin_url, f"alter database {alone.database} allow_connections false")
        await execute(
            admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{alone.database}'"
        )
        await expect(page.locator(".word")).to_have_text("Act now")
        await expect(page.locator(".verdict")).to_contain_text("PostgreSQL cannot be read")
        await execute(admin_url, f"alter database {alone.database} allow_connections true")

        await expect(page.locator(".word")).to_have_text("All is well")


async def test_a_page_whose_server_hangs_does_not_go_on_as_if_all_were_well(site: Site) -> None:
    async with site.window(site.issuer.token(uuid4(), "ops")) as window:
        page = await window.new_page()
        await page.goto(f"{site.address}/ops")
        await page.route("**/ops", lambda _: None)  # never answered

        await expect(page.locator("#banner")).to_contain_text("does not answer", timeout=30_000)


@pytest.mark.usefixtures("studied")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1440])
@pytest.mark.parametrize("name", PATHS)
async def test_a_page_fits_the_window_and_axe_finds_nothing_serious(
    site: Site, everything: str, name: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    directory = request.config.getoption("--screenshots")
    picture = Path(directory) / f"{name}-{scheme}-{width}.png" if directory else None
    async with site.window(everything, width=width, scheme=scheme) as window:
        assert await find_faults(await window.new_page(), site.address + PATHS[name], scheme, picture) == []


# Notes all figures of the course, the hero and the sums in each frame. A click that changes them is one step.
FIGURES = """course => {
  const text = selector => document.querySelector(selector)?.textContent.trim();
  window.frames_ = [];
  const look = () => {
    const card = document.getElementById(`course-${course}`);
    const seen = [
      card.querySelectorAll("[aria-pressed=true]").length,
      card.querySelector("[data-done]").textContent,
      card.querySelector("progress").value,
      card.querySelector("[data-percent]").textContent,
      text(".hero text"),
      document.querySelector(".hero .mark-done").getAttribute("stroke-dasharray"),
      text("[data-sum=lessons]"),
      text("[data-sum=average]"),
    ].join(" | ");
    if (seen !== frames_.at(-1)) frames_.push(seen);
    requestAnimationFrame(look);
  };
  look();
}"""
BEFORE = "3 | 3 of 20 lessons | 15 | 15% | 15% | 15 100 | 23 |"


async def test_a_click_changes_every_figure_in_the_same_frame(page: Page) -> None:
    await page.evaluate(FIGURES, str(STATISTICS.id))
    async with page.expect_response("**/api/progress/complete"):
        await page.get_by_role("button", name="Lesson 4 completed").click()
    async with page.expect_response(page.url):  # the server's own figures
        pass

    first, *later = await page.evaluate("frames_")
    assert first.startswith(BEFORE)
    assert [step.rpartition(" | ")[0] for step in later] == ["4 | 4 of 20 lessons | 20 | 20% | 20% | 20 100 | 24"]


async def test_a_refused_click_puts_every_figure_back(page: Page) -> None:
    await page.route("**/api/progress/complete", lambda route: route.fulfill(status=503, body="{}"))
    await page.evaluate(FIGURES, str(STATISTICS.id))
    await page.get_by_role("button", name="Lesson 4 completed").click()
    await expect(page.locator("#toast")).to_contain_text("may not be saved")

    first, changed, last = await page.evaluate("frames_")
    assert first.startswith(BEFORE)
    assert changed.startswith("4 | 4 of 20 lessons | 20 | 20% | 20% | 20 100 | 24 |")
    assert last == first


@pytest.mark.usefixtures("recounted")
@pytest.mark.parametrize("width", [320, 360])
async def test_tables_of_operations_are_cards_in_a_narrow_window_and_stay_tables_to_screen_readers(
    site: Site, everything: str, width: int
) -> None:
    async with site.window(everything, width=width) as window:
        page = await window.new_page()
        await page.goto(f"{site.address}/ops")
        rows = page.locator("[data-live=recounts], [data-live=versions]").get_by_role("rowheader")
        await expect(rows.nth(2)).to_be_visible()
        cut = await page.evaluate(
            """[...document.querySelectorAll("main .scroll, main .cards *")]
              .filter(part => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
              .filter(part => !part.closest("thead, .unseen, svg")).map(part => part.outerHTML.slice(0, 200))"""
        )

    assert cut == []


PUBLISHED = """course_id: {course}
version: {version}
title: Gardening
lessons:
  - {{lesson_id: soil, title: Soil}}
  - {{lesson_id: seeds, title: Seeds}}
"""


async def test_a_version_that_is_published_in_one_window_is_told_by_another(
    site: Site, service: ProgressService, shared: ApiSettings
) -> None:
    course, user = uuid4(), uuid4()
    await service.mark_lesson_complete(user, course, "soil", 1)
    author = site.issuer.token(uuid4(), "catalog:write", courses=[str(course)])
    async with site.window(site.issuer.token(user)) as theirs, site.window(author) as ours:
        learning = await theirs.new_page()
        await learning.goto(site.address)
        card = learning.locator(f"#course-{course}")
        await expect(card.locator("[data-done]")).to_have_text("1 of 1 lesson")
        page = await ours.new_page()
        await page.goto(f"{site.address}/courses/publish")
        await page.get_by_label("Paste a version").fill(PUBLISHED.format(course=course, version=1))
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.locator("#warnings")).to_contain_text("first version")
        await expect(page.locator("#changes tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Publish…").click()
        await expect(page.locator("#confirm-text")).to_contain_text("Fewer than five learners")
        await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
        await expect(page.locator("#what")).to_contain_text("Version 1 of Gardening is published, with 2 lessons")
        await expect(page.locator("#link")).to_have_attribute("href", f"/api/courses/{course}")
        await expect(page.locator("#recount")).to_contain_text("Everybody's progress is counted by it now")

        await expect(card.locator("h3")).to_have_text("Gardening")
        await expect(card.locator("[data-done]")).to_have_text("1 of 2 lessons")
        await expect(card.locator("[data-percent]")).to_have_text("50%")


async def test_a_second_thought_publishes_nothing_and_another_text_needs_another_look(site: Site) -> None:
    course = uuid4()
    token = site.issuer.token(uuid4(), "catalog:write", courses="*")
    async with site.window(token) as window:
        page = await window.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.method))
        await page.goto(f"{site.address}/courses/publish")
        await page.get_by_label("Paste a version").fill(PUBLISHED.format(course=course, version=1))
        await page.get_by_role("button", name="See what it would change").click()
        await page.get_by_role("button", name="Publish…").click()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.get_by_label("Paste a version").press("End")
        await page.get_by_label("Paste a version").press("Space")

        await expect(page.locator("#result")).to_be_hidden()
        assert "PUT" not in asked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nlessons: [{lesson_id: a}]", "Line 1: course_id: Field required"),
        (PUBLISHED.format(course=uuid4(), version=0), "Line 2: version"),
        (PUBLISHED.format(course=uuid4(), version=1), "You may not publish this course"),
    ],
    ids=["a field is missing", "a value is wrong", "somebody else's course"],
)
async def test_what_is_wrong_with_a_text_is_said_in_words(site: Site, text: str, said: str) -> None:
    token = site.issuer.token(uuid4(), "catalog:write", courses=[str(uuid4())])
    async with site.window(token) as window:
        page = await window.new_page()
        await page.goto(f"{site.address}/courses/publish")
        await page.locator("#file").set_input_files(
            [{"name": "course.yaml", "mimeType": "text/yaml", "buffer": text.encode()}]
        )

        await expect(page.locator("#mistakes")).to_contain_text(said)
        await expect(page.locator("#result")).to_be_hidden()


@pytest.mark.parametrize(
    ("problem", "said", "offered"),
    [
        ("too-many-learners", "Too many: an operator can.", True),
        ("unavailable", "This could not be compared: an operator can.", False),
        (None, "the connection is lost", False),
    ],
    ids=["too many learners", "a server is away", "the connection is lost"],
)
async def test_a_version_that_could_not_be_compared_is_offered_only_where_there_are_too_many_learners(
    site: Site, problem: str | None, said: str, offered: bool
) -> None:
    kind = f"urn:course-progress:problem:{problem}"
    body = json.dumps({"type": kind, "title": "Too many", "detail": "an operator can", "status": 503})

    async def answer(route: Route) -> None:
        await (route.fulfill(status=503, body=body) if problem else route.abort())

    async with site.window(site.issuer.token(uuid4(), "catalog:write", courses="*")) as window:
        page = await window.new_page()
        await page.route("**/versions/dry-run", answer)
        await page.goto(f"{site.address}/courses/publish")
        await page.get_by_label("Paste a version").fill(PUBLISHED.format(course=uuid4(), version=1))
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.locator("#state")).to_contain_text(said)

        assert await page.get_by_role("button", name="Publish…").is_enabled() is offered


@pytest.mark.usefixtures("studied")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1440])
async def test_the_result_of_a_dry_run_fits_the_window_and_axe_finds_nothing_serious(
    site: Site, everything: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    text = PUBLISHED.format(course=STATISTICS.id, version=1)
    async with site.window(everything, width=width, scheme=scheme) as window:
        page = await window.new_page()
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.goto(f"{site.address}/courses/publish")
        await page.get_by_label("Paste a version").fill(text)
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.locator("#figures tbody tr")).to_have_count(6)
        found = await Axe().run(page)
        serious = [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
        overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if directory := request.config.getoption("--screenshots"):
            await page.screenshot(path=Path(directory) / f"dry-run-{scheme}-{width}.png", full_page=True)
            await page.get_by_role("button", name="Publish…").click()
            await page.screenshot(path=Path(directory) / f"confirm-{scheme}-{width}.png")

    assert (serious, max(0, overflow)) == ([], 0)
