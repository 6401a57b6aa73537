"""Serves the pages. As in the API the token decides who sees what; here it comes in a cookie."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Cookie, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.achievements.reads import Achievements
from worker.courses.analytics import DAYS
from worker.courses.catalog import Catalog
from worker.errors import DatabaseUnavailable, ProgressError
from worker.learners.reads import ListCursor, ProgressReader, ReadResult
from worker.web.api.courses import CourseDep
from worker.web.api.dependencies import OutlinesDep, ServiceDep
from worker.web.api.operations import require_operator
from worker.web.api.progress import encode_cursor, parse_place
from worker.web.auth import CallerDep, caller
from worker.web.auth import Scope as APIScope
from worker.web.limits import count_call
from worker.web.pages.achievements import AchievementsCard, BadgeLine, build_achievements_card, build_badge_lines
from worker.web.pages.catalog import CourseCatalog, NoCatalog
from worker.web.pages.course import CoursePage, build_course_page
from worker.web.pages.learning import LearningPage, build_learning_page
from worker.web.pages.operations import OperationsPage, build_operations_page
from worker.web.pages.publishing import reading_router, write_draft
from worker.web.pages.reading import PageCatalog, read_cards, read_certificates
from worker.web.pages.reconciliation import ReconciliationCard, build_reconciliation_card
from worker.web.pages.render import Templates, read_assets
from worker.web.pages.why import WhyPage, build_why_page
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
    router.include_router(author_router(templates))
    router.include_router(page_router(catalog or NoCatalog(), templates))
    router.include_router(figures_router(catalog or NoCatalog(), templates))
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


def author_router(templates: Templates) -> APIRouter:
    """Returns the route of the page on which authors publish a version."""
    router = APIRouter(dependencies=[Depends(caller), Depends(count_call)], route_class=page_route(templates))

    @router.get("/courses/publish")
    async def publishing_page(caller: CallerDep, readers: ReadersDep, course: UUID | None = None) -> Response:
        caller.require(APIScope.CATALOG)
        draft = ""
        if course is not None:
            caller.require_course(course)
            draft = write_draft(course, await readers.catalog.read_course(course))
        may_see_figures = APIScope.ANALYTICS in caller.scopes
        return templates.render("publish", caller=caller, draft=draft, may_see_figures=may_see_figures)

    return router


def page_router(catalog: Catalog, templates: Templates) -> APIRouter:
    """Returns the routes of a learner's pages, which need a token."""
    router = APIRouter(dependencies=[Depends(caller), Depends(count_call)], route_class=page_route(templates))

    @router.get("/")
    async def my_learning(
        caller: CallerDep,
        service: ServiceDep,
        readers: ReadersDep,
        outlines: OutlinesDep,
        after: Annotated[ListCursor | None, Depends(parse_place)],
        show: Show = "all",
        zone: Annotated[str | None, Cookie(alias=ZONE_COOKIE)] = None,
    ) -> Response:
        known = PageCatalog(catalog, service.reads, readers.lessons, outlines)
        page = await read_learning_page(service.reads, readers, caller.user_id, known, after, show, find_zone(zone))
        return await templates.render_in_turns("learning", caller=caller, page=page)

    @router.get("/courses/{courseId}/why")
    async def why_page(
        caller: CallerDep,
        service: ServiceDep,
        readers: ReadersDep,
        outlines: OutlinesDep,
        course_id: Annotated[UUID, Path(alias="courseId")],
        zone: Annotated[str | None, Cookie(alias=ZONE_COOKIE)] = None,
    ) -> Response:
        known = PageCatalog(catalog, service.reads, readers.lessons, outlines)
        page = await read_why_page(readers, caller.user_id, course_id, known, find_zone(zone))
        return await templates.render_in_turns("why", caller=caller, page=page)

    return router


def figures_router(catalog: Catalog, templates: Templates) -> APIRouter:
    """Returns the routes of pages about many learners, for instructors and operators."""
    router = APIRouter(dependencies=[Depends(caller), Depends(count_call)], route_class=page_route(templates))

    @router.get("/courses/{courseId}")
    async def course_page(caller: CallerDep, course_id: CourseDep, readers: ReadersDep) -> Response:
        page = await read_course_page(readers, course_id, catalog)
        counts = await count_badges(readers.achievements)
        badges = [found for found in counts if found.course_id == course_id]
        return await templates.render_in_turns(
            "course", caller=caller, page=page, may_publish=APIScope.CATALOG in caller.scopes, badges=badges
        )

    @router.get("/ops", dependencies=[Depends(require_operator)])
    async def operations_page(caller: CallerDep, readers: ReadersDep) -> Response:
        view, card = await read_operations(readers)
        badges = await count_badges(readers.achievements)
        return await templates.render_in_turns("ops", caller=caller, page=view, certificates=card, badges=badges)

    return router


async def read_operations(readers: Readers) -> tuple[OperationsPage, ReconciliationCard | None]:
    """Reads the view of Operations, and the card of certificates where there are some."""
    operating = readers.operations
    snapshot = await operating.snapshot()
    now = datetime.now(UTC)
    view = build_operations_page(snapshot, operating.history(), operating.delays(), now)
    service = readers.certificates
    return view, build_reconciliation_card(service.reconciliation.latest(), now) if service is not None else None


async def read_learning_page(
    reads: ProgressReader,
    readers: Readers,
    user: UUID,
    catalog: PageCatalog,
    after: ListCursor | None,
    show: Show,
    zone: tzinfo | None,
) -> LearningPage:
    """Reads a page of the learner's courses, and what stands around it. Weeks are the zone's.

    None: of the offset that the learner's latest event was told with.
    """
    zone = await find_own_zone(readers, user, zone)
    page, stats, weeks, achievements = await asyncio.gather(
        reads.list_courses(
            user,
            include_completed=show != "current",
            include_current=show != "completed",
            after=after,
            limit=COURSES + 1,
        ),
        reads.read_stats(user),
        readers.activity.count_per_week(user, WEEKS, zone),
        read_achievements(readers.achievements, user),
    )
    rows = page.value[:COURSES]
    older = encode_cursor(rows[-1]) if len(page.value) > COURSES else None
    known = await catalog.read(user, rows)
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
        achievements=achievements,
        has_achievements=readers.achievements is not None,
    )


async def read_achievements(achievements: Achievements | None, user: UUID) -> AchievementsCard | None:
    """Reads the card of the learner's streak and badges; None where there are none."""
    if achievements is None:
        return None
    return build_achievements_card(await achievements.read(user), achievements.badges)


async def count_badges(achievements: Achievements | None) -> list[BadgeLine]:
    """Reads how many learners have each badge, in fives; none without badges, or while the database is away.

    So that the page on which an operator sees that it is away still opens.
    """
    try:
        return build_badge_lines(await achievements.count_learners()) if achievements is not None else []
    except DatabaseUnavailable:
        return []


async def read_why_page(
    readers: Readers, user: UUID, course_id: UUID, known: PageCatalog, zone: tzinfo | None
) -> WhyPage:
    """Reads why the learner is as far in the course. Raises a problem, 404, where there is nothing to say."""
    found, own_zone = await asyncio.gather(
        readers.explanations.read(user, course_id), find_own_zone(readers, user, zone)
    )
    if found.value is None:
        raise Problem(404, "no such page")
    catalog = await known.read_course(user, course_id)
    return build_why_page(found.value, catalog, own_zone)


async def find_own_zone(readers: Readers, user: UUID, zone: tzinfo | None) -> tzinfo:
    """Returns the zone, without one that of the offset which the learner's latest event was told with."""
    return zone or await readers.activity.read_zone(user)


async def read_course_page(readers: Readers, course_id: UUID, catalog: Catalog) -> CoursePage:
    """Reads the figures of a course and the titles of its newest version."""
    since = datetime.now(UTC) - timedelta(days=DAYS)
    found, newest, versions = await asyncio.gather(
        readers.analytics.read(course_id),
        readers.lessons.read_versions([course_id]),
        readers.lessons.read_publications(course_id, since),
    )
    return build_course_page(course_id, found, CourseCatalog(catalog, newest), versions)


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
