"""The API and its pages in the demo, where anybody may be anybody. Only the demo mounts this."""

import asyncio
import re
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
from worker.demo.player import COURSES, Learner, make_name
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.app import create_api
from worker.web.auth import Scope, from_own_page
from worker.web.pages.render import Templates
from worker.web.pages.routes import pages
from worker.web.problems import Problem
from worker.web.readers import Readers
from worker.web.server import Server, address, answering, config, listen
from worker.web.settings import ApiSettings

COOKIE = "course-progress-demo"
PAGE = "/demo"
SHOWN = 24
# A newcomer's courses, how many of their lessons are done, and how many weeks ago it began.
BEGUN = [("Baking bread", 7, 9), ("First aid", 5, 6), ("Chess openings", 8, 4), ("Statistics", 3, 1)]


class EmbeddedServer(Server):
    """Leaves signals to the demo."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class ServedApp:
    """A server for the time of a block. If its task ends within it, it has failed."""

    address: str
    task: asyncio.Task[None]


@asynccontextmanager
async def serve_website(settings: Settings, learners: Sequence[Learner]) -> AsyncIterator[ServedApp]:
    """Serves until the block is left; the address is that of the page to begin with."""
    own = build_api_settings(settings)
    keys = DemoKeys()
    async with answering(own) as service, Readers(own) as readers:
        app = create_api(own, keys, service, readers=readers, cookie=COOKIE, pages=pages(DemoCatalog(), login=PAGE))
        app.include_router(build_masquerade(keys, service, learners))
        async with serve_app(app, own) as serving:
            yield replace(serving, address=serving.address + PAGE)


@asynccontextmanager
async def serve_app(app: FastAPI, settings: ApiSettings) -> AsyncIterator[ServedApp]:
    """The app over HTTP, in this process."""
    listening = listen(settings)
    server = EmbeddedServer(config(app), app.state.poller)
    serving = asyncio.create_task(server.serve([listening]), name="website")
    try:
        yield ServedApp(address(listening), serving)
    finally:
        server.should_exit = True
        await serving


def build_api_settings(settings: Settings) -> ApiSettings:
    """Those of an API beside this demo's worker, on any free port unless one is set."""
    chosen = ApiSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    port = chosen.api_port if "api_port" in chosen.model_fields_set else 0
    return chosen.model_copy(update=settings.model_dump() | {"api_port": port})


@dataclass(frozen=True, slots=True)
class Person:
    """A simulated learner, as the page shows them."""

    id: UUID
    name: str
    course: str


def build_masquerade(keys: DemoKeys, service: ProgressService, learners: Sequence[Learner]) -> APIRouter:
    """The page on which one chooses who to be, and what gives the choice its token."""
    templates = Templates("worker.demo", "worker.web.pages", login=PAGE)
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    async def choose() -> Response:
        people = [Person(who.user_id, make_name(who.user_id), who.course.title) for who in learners[:SHOWN]]
        return templates.page("demo", caller=None, courses=COURSES, learners=people)

    @router.post(PAGE)
    async def become(request: Request) -> Response:
        if not (from_own_page(request) and is_by_address(request)):
            raise Problem(403, "choose on the demo's own page, opened by its address")
        form = parse_qs((await request.body()).decode(errors="replace"))
        role, id = (form.get(name, [""])[0] for name in ("as", "id"))
        try:
            user_id = UUID(id) if role == "learner" else uuid4()
            token, page = choose_identity(keys, role, user_id, id)
        except (ValueError, KeyError):
            raise Problem(400, "nobody of the demo") from None
        if role == "newcomer":
            await service.apply(list(build_history(user_id, datetime.now(UTC))))
        answer = RedirectResponse(page, 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return answer

    return router


def is_by_address(request: Request) -> bool:
    """Whether the browser was given an address, or localhost.

    Under another name this may be a stranger's page, whose name was made to lead to this machine.
    """
    name = re.sub(":[0-9]*$", "", request.headers.get("host", "")).strip("[]")
    try:
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def choose_identity(keys: DemoKeys, role: str, user_id: UUID, course_id: str) -> tuple[str, str]:
    """The token, and the page to go to. Raises KeyError for no such role, ValueError for no such course."""
    if role == "instructor":
        return keys.token(user_id, Scope.ANALYTICS, courses="*"), f"/courses/{UUID(course_id)}"
    scopes, page = {"newcomer": ((), "/"), "learner": ((), "/"), "operator": ((Scope.OPS,), "/ops")}[role]
    return keys.token(user_id, *scopes), page


def build_history(user_id: UUID, now: datetime) -> Iterator[OutgoingEvent]:
    """What a newcomer has done in the last weeks: some of each course's lessons, evenly."""
    courses = {course.title: course for course in COURSES}
    for title, done, weeks in BEGUN:
        course, start = courses[title], now - timedelta(weeks=weeks)
        for number in range(1, done + 1):
            event = LessonCompleted(
                user_id=user_id, course_id=course.id, lesson_id=course.lesson(number), total_lessons=course.lessons
            )
            yield event, start + (number - 0.5) * timedelta(weeks=weeks) / done, str(uuid4())
