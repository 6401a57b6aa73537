"""Serves API and pages in the demo, where a visitor can choose any identity. Nothing else may import it."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import parse_qs
from uuid import UUID, uuid4

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from events import LessonCompleted
from events.publisher import OutgoingEvent
from worker.demo.catalog import DemoCatalog
from worker.demo.keys import AUDIENCE, ISSUER, DemoKeys
from worker.demo.people import describe_person
from worker.demo.player import COURSES, Learner, make_name
from worker.learners.descriptions import Descriptions
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.app import create_api
from worker.web.auth import Scope, is_from_own_page
from worker.web.pages.render import Templates
from worker.web.pages.routes import pages_router
from worker.web.problems import Problem
from worker.web.readers import Readers
from worker.web.server import Server, build_config, build_service, format_address, listen
from worker.web.settings import ApiSettings

COOKIE = "course-progress-demo"
PAGE = "/demo"
SHOWN = 24
# A newcomer's courses: how many days ago each lesson was completed. The last six days are a streak, so that the lesson
# that is completed today makes up a week, and with it the badge.
NEWCOMER_COURSES = {
    "Baking bread": (60, 52, 46, 39, 31, 24, 18),
    "First aid": (41, 34, 25, 17, 9),
    "Chess openings": (28, 25, 21, 16, 14, 6, 5, 4),
    "Statistics": (3, 2, 1),
}


class EmbeddedServer(Server):
    """Serves without handling signals, which are for the demo."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class ServedApp:
    """Holds a running server's address and task. If the task ends before its block does, the server has failed."""

    address: str
    task: asyncio.Task[None]


@asynccontextmanager
async def serve_website(settings: Settings, learners: Sequence[Learner]) -> AsyncIterator[ServedApp]:
    """Serves API and pages for the time of the block. The address is that of the page that offers the identities."""
    listening = listen(build_api_settings(settings))
    # For the links on certificates, here and in `course-progress effects`, which is started later.
    os.environ.setdefault("PROGRESS_PUBLIC_URL", format_address(listening))
    own = build_api_settings(settings)
    keys = DemoKeys()
    async with build_service(own) as service, Readers(own) as readers:
        app = create_api(
            own, keys, service, readers=readers, cookie=COOKIE, pages=pages_router(DemoCatalog(), login=PAGE)
        )
        app.include_router(build_masquerade(keys, service, readers.descriptions, learners))
        async with serve_app(app, own, listening) as serving:
            yield replace(serving, address=serving.address + PAGE)


@asynccontextmanager
async def serve_app(
    app: FastAPI, settings: ApiSettings, listening: socket.socket | None = None
) -> AsyncIterator[ServedApp]:
    """Serves the app over HTTP in this process, for the time of the block; without a socket, on one of its own."""
    listening = listening or listen(settings)
    server = EmbeddedServer(build_config(app, settings), app.state.poller)
    serving = asyncio.create_task(server.serve([listening]), name="website")
    try:
        yield ServedApp(format_address(listening), serving)
    finally:
        server.should_exit = True
        await serving


def build_api_settings(settings: Settings) -> ApiSettings:
    """Builds the settings of the demo's API: the worker's servers, and any free port unless one is set."""
    chosen = ApiSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    port = chosen.api_port if "api_port" in chosen.model_fields_set else 0
    return chosen.model_copy(update=settings.model_dump() | {"api_port": port})


@dataclass(frozen=True, slots=True)
class Person:
    """Describes a simulated learner on the page."""

    id: UUID
    name: str
    course: str


def build_masquerade(
    keys: DemoKeys, service: ProgressService, descriptions: Descriptions, learners: Sequence[Learner]
) -> APIRouter:
    """Builds the routes of the page that offers the identities, and of the form that sets the chosen one's token."""
    templates = Templates("worker.demo", "worker.web.pages", login=PAGE)
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    async def choose() -> Response:
        people = [Person(each.user_id, make_name(each.user_id), each.course.title) for each in learners[:SHOWN]]
        return templates.render("demo", caller=None, courses=COURSES, learners=people)

    @router.post(PAGE)
    async def become(request: Request) -> Response:
        if not (is_from_own_page(request) and is_by_address(request)):
            raise Problem(403, "open the demo's own page by its address, and choose there")
        form = parse_qs((await request.body()).decode(errors="replace"))
        role, id = (form.get(name, [""])[0] for name in ("as", "id"))
        try:
            user_id = UUID(id) if role == "learner" else uuid4()
            token, page = choose_identity(keys, role, user_id, id)
        except (ValueError, KeyError):
            raise Problem(400, "the demo has no such identity") from None
        if role == "newcomer":
            await descriptions.publish(describe_person(user_id))
            await service.publish_and_wait(list(build_history(user_id, datetime.now(UTC))))
        answer = RedirectResponse(page, 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return answer

    return router


def is_by_address(request: Request) -> bool:
    """Says whether the browser asked for an IP address or localhost.

    Any other host name may belong to a stranger's page, because its owner can make the name lead to this machine.
    """
    name = re.sub(":[0-9]*$", "", request.headers.get("host", "")).strip("[]")
    try:
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def choose_identity(keys: DemoKeys, role: str, user_id: UUID, course_id: str) -> tuple[str, str]:
    """Signs the token of a role, and names the page to show.

    Raises KeyError for an unknown role, or ValueError for a course id that is not a UUID.
    """
    if role == "instructor":
        return keys.token(user_id, Scope.ANALYTICS, courses="*"), f"/courses/{UUID(course_id)}"
    scopes, page = {"newcomer": ((), "/"), "learner": ((), "/"), "operator": ((Scope.OPS,), "/ops")}[role]
    return keys.token(user_id, *scopes), page


def build_history(user_id: UUID, now: datetime) -> Iterator[OutgoingEvent]:
    """Yields what a newcomer did in the last weeks: the lessons of NEWCOMER_COURSES, at this time of the day."""
    courses = {course.title: course for course in COURSES}
    for title, days_ago in NEWCOMER_COURSES.items():
        course = courses[title]
        for number, days in enumerate(days_ago, 1):
            event = LessonCompleted(
                user_id=user_id, course_id=course.id, lesson_id=course.lesson(number), total_lessons=course.lessons
            )
            yield event, now - timedelta(days=days), str(uuid4())
