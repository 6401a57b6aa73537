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
from worker.demo.player import COURSES, Learner, name_of
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
# A newcomer's courses, how many of their lessons are done, and how many weeks ago it began.
BEGUN = [("Baking bread", 7, 9), ("First aid", 5, 6), ("Chess openings", 8, 4), ("Statistics", 3, 1)]


class Embedded(Server):
    """Leaves signals to the demo."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Serving:
    """A server for the time of a block. If its task ends within it, it has failed."""

    address: str
    task: asyncio.Task[None]


@asynccontextmanager
async def website(settings: Settings, learners: Sequence[Learner]) -> AsyncIterator[Serving]:
    """Serves until the block is left; the address is that of the page to begin with."""
    own = demo_settings(settings)
    keys = DemoKeys()
    async with build_service(own) as service, Readers(own) as readers:
        app = create_api(
            own, keys, service, readers=readers, cookie=COOKIE, pages=pages_router(DemoCatalog(), login=PAGE)
        )
        app.include_router(masquerade(keys, service, learners))
        async with served(app, own) as serving:
            yield replace(serving, address=serving.address + PAGE)


@asynccontextmanager
async def served(app: FastAPI, settings: ApiSettings) -> AsyncIterator[Serving]:
    """The app over HTTP, in this process."""
    listening = listen(settings)
    server = Embedded(build_config(app), app.state.poller)
    serving = asyncio.create_task(server.serve([listening]), name="website")
    try:
        yield Serving(format_address(listening), serving)
    finally:
        server.should_exit = True
        await serving


def demo_settings(settings: Settings) -> ApiSettings:
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


def masquerade(keys: DemoKeys, service: ProgressService, learners: Sequence[Learner]) -> APIRouter:
    """The page on which one chooses who to be, and what gives the choice its token."""
    templates = Templates("worker.demo", "worker.web.pages", login=PAGE)
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    async def choose() -> Response:
        people = [Person(who.user_id, name_of(who.user_id), who.course.title) for who in learners[:SHOWN]]
        return templates.render("demo", caller=None, courses=COURSES, learners=people)

    @router.post(PAGE)
    async def become(request: Request) -> Response:
        if not (is_from_own_page(request) and by_address(request)):
            raise Problem(403, "choose on the demo's own page, opened by its address")
        form = parse_qs((await request.body()).decode(errors="replace"))
        role, id = (form.get(name, [""])[0] for name in ("as", "id"))
        try:
            user_id = UUID(id) if role == "learner" else uuid4()
            token, page = become_one(keys, role, user_id, id)
        except (ValueError, KeyError):
            raise Problem(400, "nobody of the demo") from None
        if role == "newcomer":
            await service.apply(list(begun(user_id, datetime.now(UTC))))
        answer = RedirectResponse(page, 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return answer

    return router


def by_address(request: Request) -> bool:
    """Whether the browser was given an address, or localhost.

    Under another name this may be a stranger's page, whose name was made to lead to this machine.
    """
    name = re.sub(":[0-9]*$", "", request.headers.get("host", "")).strip("[]")
    try:
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def become_one(keys: DemoKeys, role: str, user_id: UUID, course_id: str) -> tuple[str, str]:
    """The token, and the page to go to. Raises KeyError for no such role, ValueError for no such course."""
    if role == "instructor":
        return keys.token(user_id, Scope.ANALYTICS, courses="*"), f"/courses/{UUID(course_id)}"
    scopes, page = {"newcomer": ((), "/"), "learner": ((), "/"), "operator": ((Scope.OPS,), "/ops")}[role]
    return keys.token(user_id, *scopes), page


def begun(user_id: UUID, now: datetime) -> Iterator[OutgoingEvent]:
    """What a newcomer has done in the last weeks: some of each course's lessons, evenly."""
    courses = {course.title: course for course in COURSES}
    for title, done, weeks in BEGUN:
        course, start = courses[title], now - timedelta(weeks=weeks)
        for number in range(1, done + 1):
            event = LessonCompleted(
                user_id=user_id, course_id=course.id, lesson_id=course.lesson(number), total_lessons=course.lessons
            )
            yield event, start + (number - 0.5) * timedelta(weeks=weeks) / done, str(uuid4())
