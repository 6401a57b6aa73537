"""Pages over HTTP are for whom the token allows, show what they should, and keep to the rules for scripts."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from events import CatalogLesson, CoursePublished, LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.callers import Issuer, client_of
from tests.databases import invent, learners, publish_version
from tests.processes import eventually
from tests.web.pages.site import COOKIE, with_pages
from worker.demo.player import COURSES
from worker.kafka.client import client_arguments
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.auth import Scope
from worker.web.keys import PemKeys
from worker.web.pages.learning import PAGE_TILES
from worker.web.pages.render import read_assets
from worker.web.pages.routes import pages_router
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

PAGES = ("/", f"/courses/{COURSES[3].id}", "/courses/publish", "/ops")
# What `default-src 'self'` forbids.
FORBIDDEN = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:|https?://(?!www\.w3\.org)")


@pytest.fixture
async def visitor(app: FastAPI, issuer: Issuer, learner: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """Visits with every scope, by the token in the cookie."""
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(learner, " ".join(Scope), courses="*"))
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_landmarks_and_nothing_that_the_policy_forbids(visitor: httpx.AsyncClient, path: str) -> None:
    answer = await visitor.get(path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"
    assert FORBIDDEN.findall(answer.text) == []
    assert answer.text.count("<h1") == answer.text.count("<main") == 1
    assert 'lang="en"' in answer.text


@pytest.mark.parametrize(
    ("path", "media_type"), [("/nope", "text/html; charset=utf-8"), ("/api/nope", "application/problem+json")]
)
async def test_an_address_of_nothing_is_a_page_to_people_and_a_problem_to_programs(
    app: FastAPI, path: str, media_type: str
) -> None:
    async with client_of(app) as client:
        answer = await client.get(path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, media_type)


async def test_learners_see_the_newest_version_and_operators_what_became_of_it(
    app: FastAPI, issuer: Issuer, service: ProgressService, rows: asyncpg.Connection
) -> None:
    course, user = uuid4(), uuid4()
    a, b = (CatalogLesson(lesson_id=name, title=f"Lesson {name}") for name in "ab")
    await publish_version(rows, CoursePublished(course_id=course, version=1, title="Before", lessons=(a,)))
    event = LessonCompleted(user_id=user, course_id=course, lesson_id="a", total_lessons=9)
    await service.publish_and_wait([(event, datetime.now(UTC), str(uuid4()))])
    second = CoursePublished(course_id=course, version=2, title="Since then", lessons=(a, b))
    await publish_version(rows, second, datetime.now(UTC))

    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(user, Scope.OPS))

        async def both_see_it() -> bool:
            learning, ops = [(await client.get(path)).text for path in ("/", "/ops")]
            news = "1 lesson was added since you completed this course"
            return news in learning and ops.count("Since then</th>") == 2

        await eventually(both_see_it)
        learning, ops = [(await client.get(path)).text for path in ("/", "/ops")]

    assert all(text in learning for text in ("Since then", "1 of 1 lesson", "Lesson a", "Lesson b"))
    assert FORBIDDEN.findall(ops) == []
    assert all(part in ops for part in ("Totals that disagree", "Recounts"))


async def test_my_learning_shows_what_was_begun(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get("/")).text

    for text in ("Statistics", "3 of 20 lessons", "Chess openings", "Recovery position", "Resume"):
        assert text in page
    assert page.count("data-lesson=") == 7 + 9 + 12 + 20
    assert page.count('aria-pressed="true"') == 7 + 5 + 8 + 3


@pytest.mark.parametrize(
    ("zone", "said", "days"),
    [
        (None, "UTC-0[78]:00", -6),  # that of the event
        ("America/Los_Angeles", "America/Los_Angeles", -6),
        ("Asia/Tokyo", "Asia/Tokyo", 1),
        ("Mars/Olympus", "UTC-0[78]:00", -6),
        ("<b>", "UTC-0[78]:00", -6),
    ],
)
async def test_weeks_are_of_the_browsers_zone_else_of_the_last_event_and_the_page_says_which(
    app: FastAPI, issuer: Issuer, service: ProgressService, zone: str | None, said: str, days: int
) -> None:
    user, there = uuid4(), ZoneInfo("America/Los_Angeles")
    today = datetime.now(there)
    sunday = (today - timedelta(days=today.weekday() + 8)).replace(hour=20)
    await service.mark_lesson_complete(user, uuid4(), "late", 5, occurred_at=sunday)
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(user))
        if zone is not None:
            client.cookies.set("progress-zone", zone)
        page = (await client.get("/")).text

    assert re.search(f"Last twelve weeks, by {said}</p>", page)
    weeks = dict(re.findall(r'<th scope="row">(\d+ \w{3})</th><td class="number">(\d+)</td>', page))
    assert len(weeks) == 12
    assert [week for week, lessons in weeks.items() if lessons != "0"] == [f"{sunday + timedelta(days=days):%-d %b}"]


@pytest.mark.parametrize(("show", "shown"), [("current", 3), ("completed", 1), ("all", 4)])
async def test_the_filter_shows_what_it_says(visitor: httpx.AsyncClient, show: str, shown: int) -> None:
    page = (await visitor.get("/", params={"show": show})).text

    assert page.count("<article") == shown


async def test_a_learner_without_progress_is_told_what_will_be_here(app: FastAPI, issuer: Issuer) -> None:
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(uuid4()))
        page = (await client.get("/")).text

    assert "Nothing started yet" in page


async def test_many_courses_are_on_several_pages(
    app: FastAPI, issuer: Issuer, service: ProgressService, monkeypatch: pytest.MonkeyPatch, learner: UUID
) -> None:
    monkeypatch.setattr("worker.web.pages.routes.COURSES", 3)
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(learner))
        first = (await client.get("/")).text
        [address] = re.findall(r'href="(/\?show=all&amp;cursor=[^"]+)"', first)
        second = (await client.get(address.replace("&amp;", "&"))).text

    assert (first.count("<article"), second.count("<article")) == (3, 1)
    assert "Older courses" not in second


async def test_a_page_of_completed_courses_is_full_of_them(
    app: FastAPI, issuer: Issuer, service: ProgressService, monkeypatch: pytest.MonkeyPatch, learner: UUID
) -> None:
    for course in (COURSES[0], COURSES[1]):
        for number in range(1, course.lessons + 1):
            await service.mark_lesson_complete(learner, course.id, course.lesson(number), course.lessons)
    await service.update_last_accessed(learner, COURSES[7].id)  # the latest, and not completed
    monkeypatch.setattr("worker.web.pages.routes.COURSES", 2)
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(learner))
        first = (await client.get("/", params={"show": "completed"})).text
        [address] = re.findall(r'href="(/\?show=completed&amp;cursor=[^"]+)"', first)
        second = (await client.get(address.replace("&amp;", "&"))).text

    assert (first.count("<article"), second.count("<article")) == (2, 1)
    assert first.count("data-percent>100%<") == 2
    assert "Older courses" not in second
    assert 'href="/?show=completed">Latest courses' in second


async def test_without_a_catalog_ids_stand_for_names(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers, learner: UUID
) -> None:
    app = create_api(shared, PemKeys(issuer.key_file), service, readers=readers, cookie=COOKIE, pages=pages_router())
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(learner))
        page = (await client.get("/")).text

    assert f"Course {str(COURSES[3].id)[:8]}" in page
    assert "4 more lessons: not started yet" in page  # of First aid: those of which no event tells


async def test_what_a_learner_wrote_is_text(
    app: FastAPI, issuer: Issuer, service: ProgressService, learner: UUID
) -> None:
    await service.mark_lesson_complete(learner, COURSES[0].id, "<script>alert(1)</script>\"'", 3)
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(learner))
        page = (await client.get("/")).text

    assert FORBIDDEN.findall(page) == []
    assert "&lt;script&gt;alert(1)" in page


async def test_few_learners_have_no_figures_and_the_page_says_why(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get(f"/courses/{uuid4()}")).text

    assert "Too few learners for figures" in page


@pytest.mark.parametrize("path", PAGES)
async def test_without_a_token_the_page_says_so_and_leads_to_the_login(app: FastAPI, path: str) -> None:
    async with client_of(app) as client:
        answer = await client.get(path)

    assert answer.status_code == 401
    assert "Please log in" in answer.text
    assert 'href="/login"' in answer.text
    assert FORBIDDEN.findall(answer.text) == []


@pytest.mark.parametrize("dest", ["document", "iframe"])
@pytest.mark.parametrize("path", PAGES)
async def test_a_link_from_another_site_leads_to_a_page_and_no_frame_does(
    visitor: httpx.AsyncClient, path: str, dest: str
) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}

    assert (await visitor.get(path, headers=headers)).status_code == (200 if dest == "document" else 401)


async def test_no_other_sites_page_learns_anything_by_opening_one(visitor: httpx.AsyncClient) -> None:
    headers = (await visitor.get("/")).headers

    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES[1:])
async def test_without_the_scope_the_page_says_which_is_missing(app: FastAPI, issuer: Issuer, path: str) -> None:
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(uuid4()))
        answer = await client.get(path)

    assert answer.status_code == 403
    assert "This page is not for you" in answer.text
    assert "lacks the scope" in answer.text


async def test_a_course_that_the_token_does_not_name_is_not_shown(app: FastAPI, issuer: Issuer) -> None:
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(uuid4(), "course:analytics", courses=[str(uuid4())]))
        answer = await client.get(PAGES[1])

    assert answer.status_code == 403


async def test_operations_says_which_dead_letters_are_truncated(
    visitor: httpx.AsyncClient, shared: ApiSettings
) -> None:
    async with Producer(**client_arguments(shared)) as producer:
        await producer.send_all([OutgoingRecord(shared.dead_letter_topic, None, b"{", [("dlq_truncated", b"600000")])])

    async def shown() -> bool:
        return ">open, truncated</td>" in (await visitor.get("/ops")).text

    await eventually(shown)


async def test_no_such_course_is_a_page_too(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/courses/first-aid")

    assert (answer.status_code, "no such page" in answer.text) == (404, True)


async def test_an_absent_database_is_a_page_too(nowhere_settings: ApiSettings, issuer: Issuer) -> None:
    async with ProgressService(nowhere_settings) as service, Readers(nowhere_settings) as readers:
        app = with_pages(nowhere_settings, issuer, service, readers)
        async with client_of(app, issuer.token(uuid4(), "ops")) as client:
            learning, operations = await client.get("/"), await client.get("/ops")

    assert (learning.status_code, "Back in a moment" in learning.text) == (503, True)
    assert learning.headers["Retry-After"]
    # This page is for such moments.
    assert operations.status_code == 200
    assert "Kafka cannot be read" in operations.text
    assert "PostgreSQL cannot be read" in operations.text


@pytest.fixture
def nowhere_settings(shared: ApiSettings) -> ApiSettings:
    away = {"database_url": "postgresql://postgres@127.0.0.1:1/none", "kafka_bootstrap_servers": "127.0.0.1:1"}
    return ApiSettings(**shared.model_dump() | away)


# Static files


@pytest.mark.parametrize("name", sorted(read_assets()))
async def test_a_file_is_immutable_under_the_address_of_its_content(app: FastAPI, name: str) -> None:
    digest = read_assets()[name].digest
    async with client_of(app) as client:
        kept = await client.get(f"/static/{name}", params={"v": digest})
        asked = await client.get(f"/static/{name}")
        unchanged = await client.get(f"/static/{name}", headers={"If-None-Match": asked.headers["ETag"]})

    assert "immutable" in kept.headers["Cache-Control"]
    assert asked.headers["Cache-Control"] == "no-cache"
    assert (kept.content, unchanged.status_code) == (asked.content, 304)


@pytest.mark.parametrize("name", ["nothing.css", "..%2Frender.py", "%2Fetc%2Fpasswd"])
async def test_nothing_else_is_a_file(app: FastAPI, name: str) -> None:
    async with client_of(app) as client:
        assert (await client.get(f"/static/{name}")).status_code == 404


def test_no_file_comes_from_elsewhere() -> None:
    for asset in read_assets().values():
        assert re.findall(rb"https?://(?!www\.w3\.org)", asset.content) == []


# Whether there are pages


async def test_without_a_cookies_name_there_are_no_pages(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers
) -> None:
    app = create_api(shared, PemKeys(issuer.key_file), service, readers=readers, pages=pages_router())
    async with client_of(app, issuer.token(uuid4())) as client:
        assert [(await client.get(path)).status_code for path in PAGES] == [404] * len(PAGES)


async def test_my_learning_is_bounded_whatever_the_learner_has_and_says_what_it_leaves_out(
    app: FastAPI, issuer: Issuer, rows: asyncpg.Connection
) -> None:
    user = uuid4()
    for _ in range(24):
        await invent(rows, user, uuid4(), 2000, pad='"' * 248)
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(user))
        page = (await client.get("/")).text

    assert page.count("<article") == 24
    assert page.count("data-lesson=") == PAGE_TILES
    assert len(page.encode()) < 4_000_000
    assert "and 1,980 more lessons" in page


async def test_a_page_shows_which_lessons_are_completed_where_the_list_of_them_is_cut(
    app: FastAPI, issuer: Issuer, rows: asyncpg.Connection
) -> None:
    user, course = uuid4(), uuid4()
    await invent(rows, user, course, 60_000)
    await rows.execute(
        "update course_progress_all set last_lesson_id = 'n060000' where user_id = $1 and course_id = $2", user, course
    )
    async with client_of(app) as client:
        client.cookies.set(COOKIE, issuer.token(user))
        page = (await client.get("/")).text

    tiles = page.count("data-lesson=")
    assert 0 < tiles <= 200
    assert page.count('aria-pressed="true"') == tiles
    assert f"and {60_000 - tiles:,} more lessons" in page


async def test_a_courses_page_is_bounded_whatever_its_learners_invent(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    course = uuid4()
    await learners(rows, course, 5, "abc")
    for _ in range(5):
        await invent(rows, uuid4(), course, 1500, pad='"' * 248)

    page = (await visitor.get(f"/courses/{course}")).text

    assert "And 1,203 more lessons" in page
    assert len(page) < 500_000
