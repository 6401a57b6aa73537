"""Serves the pages. As in the API the token decides who sees what; here it comes in a cookie."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Cookie, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.courses.analytics import DAYS
from worker.courses.catalog import Catalog
from worker.courses.lessons import CourseLessons, KnownLessons
from worker.errors import ProgressError
from worker.learners.reads import MOST_LESSONS, CourseProgress, ListCursor, ProgressReader, ReadResult
from worker.web.api.courses import CourseDep
from worker.web.api.dependencies import ServiceDep
from worker.web.api.operations import require_operator
from worker.web.api.progress import encode_cursor, parse_place
from worker.web.auth import CallerDep, caller
from worker.web.auth import Scope as APIScope
from worker.web.certificates import CertificateService
from worker.web.limits import count_call
from worker.web.pages.catalog import CourseCatalog, NoCatalog
from worker.web.pages.certificates import add_certificates
from worker.web.pages.course import CoursePage, build_course_page
from worker.web.pages.learning import (
    CourseCard,
    LearningPage,
    build_cards,
    build_learning_page,
    choose_shown,
    fill_cards,
)
from worker.web.pages.operations import build_operations_page
from worker.web.pages.publishing import reading_router, write_draft
from worker.web.pages.reconciliation import build_reconciliation_card
from worker.web.pages.render import Templates, read_assets
from worker.web.problems import PROBLEMS, Problem, to_problem
from worker.web.readers import Readers, ReadersDep
from worker.zones import find_zone

COURSES = 24  # on one page
WEEKS = 12
ZONE_COOKIE = "progress-zone"  # as in zone.js
FOREVER = "public, max-age=31536000, immutable"
Show = Literal["all", "current", "completed"]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def pages_router(catalog: Catalog | None = None, login: str | None = None) -> APIRouter:
    """Returns the pages' routes, for `create_api`. `login` is the address where a visitor without a token gets one."""
    templates = Templates("worker.web.pages", login=login)
    router = APIRouter(include_in_schema=False)
    router.include_router(static_router())
    router.include_router(reading_router())
    router.include_router(page_router(catalog or NoCatalog(), templates))
    router.default = NotFoundFallback(templates, otherwise=router.default)
    return router


@dataclass(frozen=True)
class NotFoundFallback:
    """Answers every path that has no route: with a page, or under /api as the API does."""

    templates: Templates
    otherwise: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_a_page = scope["type"] == "http" and not scope["path"].startswith("/api/")
        answer = render_problem(self.templates, Problem(404, "no such page")) if of_a_page else self.otherwise
        await answer(scope, receive, send)


def static_router() -> APIRouter:
    """Returns the route of static files, which needs no token."""
    router = APIRouter()

    @router.get("/static/{name}")
    async def static_file(request: Request, name: str, v: str = "") -> Response:
        asset = read_assets().get(name)
        if asset is None:
            raise Problem(404, "no such file")
        headers = {"ETag": f'"{asset.digest}"', "Cache-Control": FOREVER if v == asset.digest else "no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return router


def page_router(catalog: Catalog, templates: Templates) -> APIRouter:
    """Returns the routes of the pages themselves, which need a token."""
    router = APIRouter(dependencies=[Depends(caller), Depends(count_call)], route_class=page_route(templates))

    @router.get("/")
    async def my_learning(
        caller: CallerDep,
        service: ServiceDep,
        readers: ReadersDep,
        after: Annotated[ListCursor | None, Depends(parse_place)],
        show: Show = "all",
        zone: Annotated[str | None, Cookie(alias=ZONE_COOKIE)] = None,
    ) -> Response:
        page = await read_learning_page(service.reads, readers, caller.user_id, catalog, after, show, find_zone(zone))
        return await templates.render_in_turns("learning", caller=caller, page=page)

    @router.get("/courses/publish")
    async def publishing_page(caller: CallerDep, readers: ReadersDep, course: UUID | None = None) -> Response:
        caller.require(APIScope.CATALOG)
        draft = ""
        if course is not None:
            caller.require_course(course)
            draft = write_draft(course, await readers.catalog.read_course(course))
        may_see_figures = APIScope.ANALYTICS in caller.scopes
        return templates.render("publish", caller=caller, draft=draft, may_see_figures=may_see_figures)

    @router.get("/courses/{courseId}")
    async def course_page(caller: CallerDep, course_id: CourseDep, readers: ReadersDep) -> Response:
        page = await read_course_page(readers, course_id, catalog)
        return await templates.render_in_turns(
            "course", caller=caller, page=page, may_publish=APIScope.CATALOG in caller.scopes
        )

    @router.get("/ops", dependencies=[Depends(require_operator)])
    async def operations_page(caller: CallerDep, readers: ReadersDep) -> Response:
        operating = readers.operations
        snapshot = await operating.snapshot()
        now = datetime.now(UTC)
        view = build_operations_page(snapshot, operating.history(), operating.delays(), now)
        service = readers.certificates
        card = build_reconciliation_card(service.reconciliation.latest(), now) if service is not None else None
        return await templates.render_in_turns("ops", caller=caller, page=view, certificates=card)

    return router


async def read_learning_page(
    reads: ProgressReader,
    readers: Readers,
    user: UUID,
    catalog: Catalog,
    after: ListCursor | None,
    show: Show,
    zone: tzinfo | None,
) -> LearningPage:
    """Reads a page of the learner's courses, and what stands around it. Weeks are the zone's.

    None: of the offset that the learner's latest event was told with.
    """
    zone = zone or await readers.activity.read_zone(user)
    page, stats, weeks = await asyncio.gather(
        reads.list_courses(
            user,
            include_completed=show != "current",
            include_current=show != "completed",
            after=after,
            limit=COURSES + 1,
        ),
        reads.read_stats(user),
        readers.activity.count_per_week(user, WEEKS, zone),
    )
    rows = page.value[:COURSES]
    older = encode_cursor(rows[-1]) if len(page.value) > COURSES else None
    known = await read_catalog(readers.lessons, user, rows, catalog)
    cards = await read_cards(reads, readers.lessons, user, ReadResult(page.as_of, rows), known)
    if readers.certificates is not None:
        cards = await read_certificates(readers.certificates, user, cards, known, page.as_of)
    return build_learning_page(
        stats.value,
        cards,
        weeks,
        show,
        first=after is None,
        older=older,
        zone=str(zone),
        has_certificates=readers.certificates is not None,
    )


async def read_course_page(readers: Readers, course_id: UUID, catalog: Catalog) -> CoursePage:
    """Reads the figures of a course and the titles of its newest version."""
    since = datetime.now(UTC) - timedelta(days=DAYS)
    found, newest, versions = await asyncio.gather(
        readers.analytics.read(course_id),
        readers.lessons.read_versions([course_id]),
        readers.lessons.read_publications(course_id, since),
    )
    return build_course_page(course_id, found, CourseCatalog(catalog, newest), versions)


async def read_catalog(
    known: KnownLessons, user_id: UUID, rows: list[CourseProgress], website: Catalog
) -> CourseCatalog:
    """Returns what is known of these courses: by their newest versions, else by the website's catalog."""
    versions = await known.read_versions([row.course_id for row in rows]) if rows else {}
    added, waived = await asyncio.gather(known.count_added(user_id, versions), known.read_waived(user_id, versions))
    return CourseCatalog(website, versions, added, waived)


async def find_lessons(
    known: KnownLessons, user_id: UUID, rows: list[CourseProgress], catalog: CourseCatalog
) -> Mapping[UUID, CourseLessons]:
    """Returns the lessons that events name, for the courses that the catalog does not know."""
    unknown = [row.course_id for row in rows if catalog.lessons(row.course_id) is None]
    return await known.read_lessons(user_id, unknown) if unknown else {}


async def read_cards(
    reads: ProgressReader,
    lessons: KnownLessons,
    user_id: UUID,
    page: ReadResult[list[CourseProgress]],
    catalog: CourseCatalog,
) -> tuple[CourseCard, ...]:
    """Builds the cards. Of courses whose list of completed lessons is cut, it asks which of the shown are completed."""
    rows = page.value
    known = await find_lessons(lessons, user_id, rows, catalog)
    # Of a course with versions the number of completed lessons does not tell whether all of them are listed.
    full = sum(len(row.completed_lessons) for row in rows) >= MOST_LESSONS
    cut = {row.course_id: set[str]() for row in rows if row.more_lessons or (full and catalog.version(row.course_id))}
    if not cut:
        return build_cards(rows, catalog, known, page.as_of)
    shown = choose_shown(rows, catalog, known)
    asked = [
        (course_id, lesson_id)
        for course_id in cut
        for lesson in shown[course_id].lessons
        for lesson_id in (lesson.id, *lesson.replaces)
    ]
    completed = cut | await reads.find_completed(user_id, asked) if asked else cut
    return fill_cards(rows, catalog, shown, page.as_of, completed)


async def read_certificates(
    service: CertificateService, user_id: UUID, cards: tuple[CourseCard, ...], catalog: CourseCatalog, now: datetime
) -> tuple[CourseCard, ...]:
    """Adds the learner's certificates to these cards."""
    if not cards:
        return cards
    _, found = await service.reads.read_of_learner(user_id, [card.id for card in cards])
    everywhere = service.settings.certificates_without_catalog
    return add_certificates(
        cards, found, service.build_link, lambda course: everywhere or catalog.version(course) is not None, now
    )


def page_route(templates: Templates) -> type[APIRoute]:
    """Builds a class of routes whose problems are pages."""

    class Page(APIRoute):
        def get_route_handler(self) -> Handler:
            handler = super().get_route_handler()

            async def render_problems(request: Request) -> Response:
                try:
                    return await handler(request)
                except RequestValidationError:
                    return render_problem(templates, Problem(404, "no such page"))
                except HTTPException as error:
                    return render_problem(templates, error)
                except ProgressError as error:
                    return render_problem(templates, to_problem(error))

            return render_problems

    return Page


def render_problem(templates: Templates, error: HTTPException) -> Response:
    title = PROBLEMS[error.status_code][1]
    headers = dict(error.headers or {})
    return templates.render("problem", error.status_code, headers, caller=None, error=error, title=title)
