"""`course-progress api` starts, logs and refuses settings as an operator needs it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from tests.callers import Issuer, client_of
from tests.command_line import run
from tests.processes import ApiProcess, running
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.middleware import REQUEST_SECONDS
from worker.web.server import listen
from worker.web.settings import ApiSettings

PAGE = Path(__file__).parents[2] / "docs/api.md"
URL = {"PROGRESS_JWT_JWKS_URL": "https://login.example/jwks.json"}
WHO = {"PROGRESS_JWT_ISSUER": "https://login.example", "PROGRESS_JWT_AUDIENCE": "progress"}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (WHO, "set PROGRESS_JWT_JWKS_URL or PROGRESS_JWT_KEY_FILE"),
        (WHO | URL | {"PROGRESS_JWT_KEY_FILE": __file__}, "one of the two"),
        (URL, "PROGRESS_JWT_ISSUER and PROGRESS_JWT_AUDIENCE must be set"),
        (WHO | {"PROGRESS_JWT_JWKS_URL": "http://login.example/jwks.json"}, "PROGRESS_JWT_JWKS_URL: "),
        (WHO | {"PROGRESS_JWT_KEY_FILE": "/no/such/file"}, "PROGRESS_JWT_KEY_FILE: "),
        (WHO | {"PROGRESS_JWT_KEY_FILE": __file__}, "PROGRESS_JWT_KEY_FILE is not the PEM"),
        (WHO | URL | {"PROGRESS_RATE_LIMIT_WRITES": "few"}, "PROGRESS_RATE_LIMIT_WRITES is not a rate"),
        (WHO | URL | {"PROGRESS_API_PORT": "70000"}, "PROGRESS_API_PORT: "),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_one_line(given: dict[str, str], said: str) -> None:
    status, output, errors = run("api", **{"PROGRESS_API_PORT": "0"} | given)

    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert said in errors


@pytest.mark.processes
def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, _, errors = run("api", **WHO, **URL, PROGRESS_API_PORT=str(taken.getsockname()[1]))

    assert (status, errors.count("\n")) == (1, 1)
    assert "set PROGRESS_API_PORT" in errors


def test_no_answer_waits_for_an_acknowledgement_of_the_one_before(shared: ApiSettings) -> None:
    with listen(shared) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_requests_are_counted_by_route_and_never_by_user(two: list[ApiProcess], issuer: Issuer) -> None:
    user, course = uuid4(), uuid4()
    async with two[0].client(issuer.token(user)) as client:
        await client.get(f"/api/progress/{course}")
        await client.get(f"/{user}")
        page = (await client.get("/metrics")).text

    counted = set(re.findall(r"^progress_api_request_seconds_count\{(.*)\}", page, re.MULTILINE))
    assert {
        'method="GET",route="/api/progress/{courseId}",status="404"',
        'method="GET",route="none",status="404"',
    } <= counted
    assert str(user) not in page
    assert str(course) not in page
    assert set(REQUEST_SECONDS._labelnames) == {"route", "method", "status"}
    assert "progress_api_streams 0.0" in page


async def test_it_logs_no_token_and_no_secret(shared: ApiSettings, issuer: Issuer, user: UUID) -> None:
    settings = shared.model_copy(
        update={"log_level": "DEBUG", "database_url": SecretStr("postgresql://u:leaked@127.0.0.1:1/n")}
    )
    async with running(settings) as api:
        for token in (issuer.token(user), issuer.token("admin"), "leaked"):
            async with api.client(token) as client:
                await client.get("/api/progress", params={"cursor": "leaked"})
                await client.get("/api/progress")
        async with httpx.AsyncClient() as client:
            shown = [(await client.get(f"{api.address}{path}")).text for path in ("/ready", "/metrics")]
        assert api.process.stop() == 0
        log = api.process.log

    assert "a server is away" in log
    assert "leaked" not in "".join([log, *shown])
    assert issuer.token(user).split(".")[0] not in log


def issuer_of_the_page(directory: Path) -> list[str]:
    """Runs the page's commands, and returns the token and the settings that they set."""
    [lines] = re.findall(r"and in that shell\n\n(.*?)\n\n", PAGE.read_text(), re.DOTALL)
    shown = ("TOKEN", "PROGRESS_JWT_ISSUER", "PROGRESS_JWT_AUDIENCE", "PROGRESS_JWT_KEY_FILE")
    script = f"{lines}\nprintf '%s\\n' " + " ".join(f'"${name}"' for name in shown)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-ec", script]
    return subprocess.check_output(command, cwd=directory, env=os.environ | {"PATH": path}, text=True).splitlines()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the page has openssl make the keys")
async def test_the_issuer_that_the_page_makes_lets_its_learner_in(
    shared: ApiSettings, service: ProgressService, tmp_path: Path
) -> None:
    token, issuer, audience, key_file = issuer_of_the_page(tmp_path)

    settings = shared.model_copy(update={"jwt_issuer": issuer, "jwt_audience": audience})
    async with client_of(create_api(settings, PemKeys(tmp_path / key_file), service), token) as client:
        answer = await client.get("/api/progress/stats")

    assert answer.status_code == 200
