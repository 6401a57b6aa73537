"""In the demo anybody may be anybody, and nowhere else."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock, MagicMock
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.callers import Issuer, api_settings, client_of
from worker.demo import run
from worker.demo.catalog import NAMES, DemoCatalog
from worker.demo.keys import DemoKeys
from worker.demo.player import COURSES
from worker.demo.website import COOKIE, PAGE, EmbeddedServer, build_api_settings, build_history, build_masquerade
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.pages.routes import pages_router
from worker.web.readers import Readers

FROM_ITS_PAGE = {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}
AWAY = Settings(database_url="postgresql://postgres@127.0.0.1:1/none", kafka_bootstrap_servers="127.0.0.1:1")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The demo's website over servers that are away."""
    settings, keys = build_api_settings(AWAY), DemoKeys()
    async with ProgressService(settings) as service, Readers(settings) as readers:
        app = create_api(
            settings, keys, service, readers=readers, cookie=COOKIE, pages=pages_router(DemoCatalog(), login=PAGE)
        )
        app.include_router(build_masquerade(keys, service, readers.descriptions, []))
        async with client_of(app) as client:
            client.headers.update(FROM_ITS_PAGE)
            yield client


async def test_one_click_makes_somebody_of_you(client: httpx.AsyncClient) -> None:
    course = str(COURSES[3].id)
    chosen = {
        "operator": ("", "/ops"),
        "instructor": (course, f"/courses/{course}"),
        "learner": (str(uuid4()), "/"),
    }
    for role, (id, page) in chosen.items():
        answer = await client.post(PAGE, data={"as": role, "id": id})

        assert (answer.status_code, answer.headers["Location"]) == (303, page)
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert (await client.get(page)).status_code in (200, 503)  # let in


@pytest.mark.parametrize("data", [{}, {"as": "admin"}, {"as": "learner", "id": "me"}, {"as": "instructor"}], ids=str)
async def test_nobody_else_can_be_chosen(client: httpx.AsyncClient, data: dict[str, str]) -> None:
    assert (await client.post(PAGE, data=data)).status_code == 400


async def test_a_body_that_is_not_a_form_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post(PAGE, content=b"as=\xff")).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "[", "Origin": "http://["},
    ],
    ids=str,
)
async def test_no_other_page_chooses_who_you_are_whatever_its_name_leads_to(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post(PAGE, data={"as": "operator"}, headers=headers)

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.5:80"])
async def test_any_address_of_the_demo_will_do(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.post(PAGE, data={"as": "operator"}, headers={"Host": host, "Origin": f"http://{host}"})

    assert answer.status_code == 303


async def test_the_page_offers_every_course_and_role(client: httpx.AsyncClient) -> None:
    page = (await client.get(PAGE)).text

    for text in ("as a newcomer", "as the operator", *(course.title for course in COURSES)):
        assert text in page


async def test_no_setting_of_the_production_command_leads_here(issuer: Issuer) -> None:
    settings = api_settings(AWAY, issuer, api_cookie=COOKIE)
    async with ProgressService(settings) as service, Readers(settings) as readers:
        app = create_api(
            settings,
            PemKeys(issuer.key_file),
            service,
            readers=readers,
            cookie=settings.api_cookie,
            pages=pages_router(),
        )
        async with client_of(app) as client:
            answers = [await client.get(PAGE), await client.post(PAGE, data={"as": "operator"})]
            client.cookies.set(COOKIE, DemoKeys().token(uuid4(), "ops"))
            answers.append(await client.get("/ops"))

    assert [answer.status_code for answer in answers] == [404, 404, 401]
    assert not any(route.startswith(PAGE) for route in paths(app))


def paths(app: FastAPI) -> list[str]:
    return [context.path for context in iter_route_contexts(app.routes)]


@pytest.mark.processes
def test_what_the_production_command_runs_does_not_even_import_the_demo() -> None:
    program = (
        "import sys, worker.cli.api, worker.web.server, worker.web.pages.routes; "
        "sys.exit(any(name.startswith('worker.demo') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_every_lesson_of_the_demo_has_a_name() -> None:
    catalog = DemoCatalog()

    assert NAMES.keys() <= {course.title for course in COURSES}
    for course in COURSES:
        lessons = catalog.lessons(course.id) or ()
        assert [lesson.id for lesson in lessons] == [course.lesson(n) for n in range(1, course.lessons + 1)]


def test_what_a_newcomer_has_begun_lies_in_the_past() -> None:
    now = datetime.now(UTC)

    assert all(at < now for _, at, _ in build_history(uuid4(), now))


async def test_a_website_that_fails_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: EmbeddedServer) -> None:
        raise OSError("the server failed")

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(EmbeddedServer, "main_loop", fails)
    monkeypatch.setattr(run, "prepare", nothing)
    monkeypatch.setenv("PROGRESS_PUBLIC_URL", "http://127.0.0.1:1")  # else the website sets it in this process
    part = SimpleNamespace(run=for_ever)
    traffic = SimpleNamespace(run=for_ever, player=SimpleNamespace(learners=[]))
    parts = SimpleNamespace(certificates=part, supervisor=part, traffic=traffic, observer=Observing(), effects=None)
    demo = run.Demo(AWAY, "none", parts, Observing(), None)

    running = asyncio.create_task(demo.run())
    await asyncio.wait({running}, timeout=30)
    by_itself = running.done()
    running.cancel()

    assert by_itself
    with pytest.raises(OSError, match="the server failed"):
        await running


class Observing(MagicMock):
    """In place of the view and of the observer, whose parts are not of this test."""

    look = AsyncMock()
