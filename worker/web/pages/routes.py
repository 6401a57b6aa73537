"""The pages' routes. Who sees what is decided as in the API: by the token, here the cookie's."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.courses.catalog import Catalog
from worker.courses.lessons import CourseLessons, KnownLessons
from worker.errors import ProgressError
from worker.learners.reads import CourseProgress, ListCursor
from worker.web.api.courses import Course
from worker.web.api.dependencies import ServiceDep
from worker.web.api.operations import operator
from worker.web.api.progress import cursor_after, place
from worker.web.auth import CallerDep, caller
from worker.web.limits import count_call
from worker.web.pages.catalog import NoCatalog
from worker.web.pages.course import course
from worker.web.pages.learning import cards, learning
from worker.web.pages.operations import operations
from worker.web.pages.render import Templates, assets
from worker.web.problems import KINDS, Problem, meaning
from worker.web.readers import ReadersDep

COURSES = 24  # on one page
WEEKS = 12
FOREVER = "public, max-age=31536000, immutable"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def pages(catalog: Catalog | None = None, login: str | None = None) -> APIRouter:
    """For `create_api`. `login` is where somebody without a token is sent to get one."""
    templates = Templates("worker.web.pages", login=login)
    router = APIRouter(include_in_schema=False)
    router.include_router(static_files())
    router.include_router(_pages(catalog or NoCatalog(), templates))
    router.default = Nowhere(templates, otherwise=router.default)
    return router


@dataclass(frozen=True)
class Nowhere:
    """Answers what no route is for: with a page, but under /api."""

    templates: Templates
    otherwise: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_a_page = scope["type"] == "http" and not scope["path"].startswith("/api/")
        answer = problem(self.templates, Problem(404, "no such page")) if of_a_page else self.otherwise
        await answer(scope, receive, send)


def static_files() -> APIRouter:
    """Needs no token."""
    router = APIRouter()

    @router.get("/static/{name}")
    async def static_file(request: Request, name: str, v: str = "") -> Response:
        asset = assets().get(name)
        if asset is None:
            raise Problem(404, "no such file")
        headers = {"ETag": f'"{asset.digest}"', "Cache-Control": FOREVER if v == asset.digest else "no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return router


def _pages(catalog: Catalog, templates: Templates) -> APIRouter:
    router = APIRouter(dependencies=[Depends(caller), Depends(count_call)], route_class=readable_problems(templates))

    @router.get("/")
    async def my_learning(
        caller: CallerDep,
        service: ServiceDep,
        readers: ReadersDep,
        after: Annotated[ListCursor | None, Depends(place)],
        show: Literal["all", "current", "completed"] = "all",
    ) -> Response:
        reads, user = service.reads, caller.user_id
        page, stats, weeks = await asyncio.gather(
            reads.list_courses(
                user,
                include_completed=show != "current",
                include_current=show != "completed",
                after=after,
                limit=COURSES + 1,
            ),
            reads.read_stats(user),
            readers.activity.count_per_week(user, WEEKS),
        )
        rows = page.value[:COURSES]
        older = cursor_after(rows[-1]) if len(page.value) > COURSES else None
        known = await lessons(readers.lessons, user, rows, catalog)
        listed = cards(rows, catalog, known, page.as_of)
        view = learning(stats.value, listed, weeks, show, first=after is None, older=older)
        return templates.page("learning", caller=caller, page=view)

    @router.get("/courses/{courseId}")
    async def course_page(caller: CallerDep, course_id: Course, readers: ReadersDep) -> Response:
        found = await readers.analytics.read(course_id)
        return templates.page("course", caller=caller, page=course(course_id, found, catalog))

    @router.get("/ops", dependencies=[Depends(operator)])
    async def operations_page(caller: CallerDep, readers: ReadersDep) -> Response:
        operating = readers.operations
        snapshot = await operating.snapshot()
        view = operations(snapshot, operating.history(), operating.delays(), datetime.now(UTC))
        return templates.page("ops", caller=caller, page=view)

    return router


async def lessons(
    known: KnownLessons, user_id: UUID, rows: list[CourseProgress], catalog: Catalog
) -> Mapping[UUID, CourseLessons]:
    """What the events tell of the courses that the catalog does not know."""
    unknown = [row.course_id for row in rows if catalog.lessons(row.course_id) is None]
    return await known.read_lessons(user_id, unknown) if unknown else {}


def readable_problems(templates: Templates) -> type[APIRoute]:
    """Routes whose problems are pages."""

    class Page(APIRoute):
        def get_route_handler(self) -> Handler:
            handler = super().get_route_handler()

            async def answered(request: Request) -> Response:
                try:
                    return await handler(request)
                except RequestValidationError:
                    return problem(templates, Problem(404, "no such page"))
                except HTTPException as error:
                    return problem(templates, error)
                except ProgressError as error:
                    return problem(templates, meaning(error))

            return answered

    return Page


def problem(templates: Templates, error: HTTPException) -> Response:
    title = KINDS[error.status_code][1]
    headers = dict(error.headers or {})
    return templates.page("problem", error.status_code, headers, caller=None, error=error, title=title)
