"""No call gets in without a valid token, or sees what its token does not allow."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Request, Response
from fastapi.routing import iter_route_contexts

from tests.callers import AUDIENCE, ISSUER, Issuer, api_settings, client_of
from tests.issued import new_code
from tests.processes import eventually
from worker.demo.keys import DemoKeys
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.api.routes import api_router
from worker.web.app import create_api
from worker.web.auth import LEEWAY_S, Caller, Scope, is_from_own_page, read_courses, read_scopes
from worker.web.keys import PemKeys
from worker.web.pages.catalog import NoCatalog
from worker.web.pages.render import Templates
from worker.web.pages.routes import page_router

PUBLIC = {"/live", "/ready", "/metrics", "/api/openapi.json", "/.well-known/did.json"}
PUBLIC_BELOW = ("/static/", "/verify/", "/credentials/status/")
decode = jwt.decode
HEADER = {"alg": "none", "typ": "JWT"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Returns method and path of every route, with parameters filled in."""
    found = []
    for context in iter_route_contexts(app.routes):
        path = context.path.replace("{courseId}", str(uuid4())).replace("{userId}", str(uuid4()))
        path = path.replace("{version}", "1").replace("{code}", new_code())
        if path.startswith(PUBLIC_BELOW):
            continue
        assert "{" not in path, "say what this test should put into the path"
        found += [(method, path) for method in sorted(context.methods - {"HEAD"})]
    return found


async def statuses(app: FastAPI, token: str | None, **query: str) -> dict[tuple[str, str], int]:
    """Returns the status of each route that is not public."""
    async with client_of(app, token) as client:
        return {
            (method, path): (await client.request(method, path, params=query, json={})).status_code
            for method, path in routes(app)
            if path not in PUBLIC
        }


def unsigned(user: UUID) -> str:
    claims = {"sub": str(user), "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (HEADER, claims)]
    return b".".join([*parts, b""]).decode()


def signed_with_the_public_key(issuer: Issuer, user: UUID) -> str:
    """Signs by hand, because PyJWT refuses: the attack on verifiers that take a key for any algorithm."""
    claims = {"sub": str(user), "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    header = {"alg": "HS256", "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.new(issuer.public, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def bad_tokens(issuer: Issuer, user: UUID) -> dict[str, str | None]:
    stranger = rsa.generate_private_key(65537, 2048)
    return {
        "none": None,
        "no token at all": "abc",
        "expired": issuer.token(user, exp=int(time.time()) - 60),
        "without an end": issuer.token(user, exp=None),
        "for another audience": issuer.token(user, aud="somebody-else"),
        "for no audience": issuer.token(user, aud=None),
        "by another issuer": issuer.token(user, iss="https://evil.example"),
        "by no issuer": issuer.token(user, iss=None),
        "not valid yet": issuer.token(user, nbf=int(time.time()) + 600),
        "about nobody": issuer.token(user, sub=None),
        "about no UUID": issuer.token("admin"),
        "until no time that there is": issuer.token(user, exp=10**400),
        "signed by a stranger": issuer.token(user, key=stranger),
        "with another algorithm": issuer.token(user, alg="RS512"),
        "unsigned": unsigned(user),
        "signed with the public key as a secret": signed_with_the_public_key(issuer, user),
        "of the demo": DemoKeys().token(user, *Scope),
    }


async def test_no_route_is_reached_with_a_bad_token(nowhere: FastAPI, issuer: Issuer, user: UUID) -> None:
    assert len(routes(nowhere)) > 10
    for token in bad_tokens(issuer, user).values():
        for query in ({}, {"other": "1"}):
            found = await statuses(nowhere, token, **query)

            assert set(found.values()) == {401}, found


async def test_a_route_without_its_own_check_needs_a_token_too(nowhere: FastAPI, issuer: Issuer, user: UUID) -> None:
    """The routers of the API and of the pages check the token for all their routes."""
    of_pages = page_router(NoCatalog(), Templates("worker.web.pages", login=None))
    for number, router in enumerate([api_router(), of_pages]):
        router.add_api_route(f"/api/forgotten/{number}", forgotten)
        nowhere.include_router(router)
    paths = ["/api/forgotten/0", "/api/forgotten/1"]

    async with client_of(nowhere) as client:
        refused = [(await client.get(path)).status_code for path in paths]
    async with client_of(nowhere, issuer.token(user)) as client:
        reached = [(await client.get(path)).status_code for path in paths]

    assert (refused, reached) == ([401, 401], [200, 200])


async def forgotten() -> Response:
    return Response()


async def test_every_route_is_reached_with_a_good_token(nowhere: FastAPI, issuer: Issuer, user: UUID) -> None:
    token = issuer.token(user, " ".join(Scope), courses="*", exp=int(time.time()) + 1)  # which ends the stream
    for query in ({}, {"other": "1"}):
        found = await statuses(nowhere, token, **query)

        assert set(found.values()) == {200, 400, 503}  # the stream, no body, no database


async def test_a_remembered_token_is_refused_once_it_has_expired(nowhere: FastAPI, issuer: Issuer, user: UUID) -> None:
    token = issuer.token(user, exp=int(time.time()) - LEEWAY_S + 2)
    async with client_of(nowhere, token) as client:
        answers = [await client.get("/api/progress")]

        async def refused() -> bool:
            answers.append(await client.get("/api/progress"))
            return answers[-1].status_code == 401

        await eventually(refused)

    assert answers[0].status_code == 503
    assert answers[-1].json()["detail"] == "the token has expired"


async def test_a_valid_token_is_verified_once_a_minute_and_an_invalid_one_every_time(
    nowhere: FastAPI, issuer: Issuer, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []
    monkeypatch.setattr(jwt, "decode", lambda token, *a, **k: verified.append(token) or decode(token, *a, **k))
    valid, invalid = issuer.token(user), issuer.token(user, aud="somebody-else")
    for token in (valid, invalid) * 3:
        async with client_of(nowhere, token) as client:
            await client.get("/api/progress")

    assert verified == [valid, invalid, invalid, invalid]


@pytest.mark.parametrize("scope", ["", "ops course:analytics", "progress:read:anything"])
async def test_another_learner_is_refused_without_the_scope(
    nowhere: FastAPI, issuer: Issuer, user: UUID, scope: str
) -> None:
    found = await statuses(nowhere, issuer.token(user, scope), userId=str(uuid4()))

    reads = {
        path: status for (method, path), status in found.items() if (method, path[:13]) == ("GET", "/api/progress")
    }
    assert set(reads.values()) == {403}
    assert 400 in found.values()  # a write has no userId


async def test_another_learner_is_read_with_the_scope(
    app: FastAPI, client: httpx.AsyncClient, issuer: Issuer, user: UUID, lesson: Any, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson())
    async with client_of(app, issuer.token(uuid4(), "openid progress:read:any")) as tutor:
        answer = await tutor.get(f"/api/progress/{course}", params={"userId": str(user)})

    assert answer.json()["progress"]["userId"] == str(user)


async def test_a_refusal_says_how_to_authenticate_and_nothing_of_the_keys(nowhere: FastAPI, issuer: Issuer) -> None:
    async with client_of(nowhere, issuer.token("admin")) as client:
        refused = await client.get("/api/progress")

    assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json() == {
        "type": "urn:course-progress:problem:unauthenticated",
        "title": "A valid token is needed",
        "status": 401,
        "detail": "the token is not valid",
        "instance": "/api/progress",
    }


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({}, set()),
        ({"scope": "ops openid"}, {"ops", "openid"}),
        ({"scp": ["ops"]}, {"ops"}),
        ({"scp": "ops x"}, {"ops", "x"}),
        ({"scope": "", "scp": ["ops"]}, set()),
        ({"scope": {"ops": True}}, set()),
        ({"scope": [1, "ops"]}, {"ops"}),
    ],
)
def test_scopes_are_text_or_a_list(claims: dict[str, Any], found: set[str]) -> None:
    assert read_scopes(claims) == found


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        (None, set()),
        ("*", {"*"}),
        (["*"], {"*"}),
        (["0B9F7F0E-9B1A-4A51-8F0E-3A8D5F0C2D22", 7], {"0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"}),
        ({"*": True}, set()),
    ],
)
def test_courses_are_a_list_or_all(claim: object, found: set[str]) -> None:
    assert read_courses({"courses": claim}) == found


def test_a_missing_scope_is_named() -> None:
    with pytest.raises(Exception, match="ops") as refused:
        Caller(uuid4(), frozenset({"course:analytics"}), 0).require(Scope.OPS)

    assert refused.value.status_code == 403  # type: ignore[attr-defined]


# The cookie of the API's own pages

SAME, CROSS = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}
FOLLOWED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}  # as a link is


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", SAME, 503),
        ("GET", {}, 503),
        ("GET", {"Sec-Fetch-Site": "none"}, 503),
        ("GET", CROSS, 401),
        ("GET", {"Sec-Fetch-Site": "same-site"}, 401),
        ("GET", CROSS | FOLLOWED, 401),  # that is for pages (tests/web/pages/test_routes.py)
        ("GET", CROSS | FOLLOWED | {"Sec-Fetch-Dest": "iframe"}, 401),
        ("GET", {"Origin": "http://evil.example"}, 401),
        ("GET", {"Origin": "http://["}, 401),
        ("GET", {"Host": ""}, 401),
        ("GET", SAME | {"Host": ""}, 401),
        ("GET", {"Sec-Fetch-Site": ""}, 401),
        ("GET", {"Sec-Fetch-Site": "cross-site, same-origin"}, 401),
        ("POST", SAME, 400),
        ("POST", {"Origin": "https://api"}, 400),
        ("POST", {"Origin": "http://api"}, 400),
        ("POST", {}, 401),
        ("POST", CROSS, 401),
        ("POST", CROSS | FOLLOWED, 401),
        ("POST", {"Sec-Fetch-Site": "none"}, 401),
        ("POST", {"Origin": "http://evil.example"}, 401),
        ("POST", {"Origin": "null"}, 401),
        ("POST", {"Origin": ""}, 401),
        ("POST", {"Origin": "api"}, 401),
        ("POST", {"Origin": "://api"}, 401),
        ("POST", {"Origin": "file://api"}, 401),
        ("POST", {"Origin": "http://api.evil.example"}, 401),
        ("POST", {"Origin": "http://api@evil.example"}, 401),
        ("POST", {"Sec-Fetch-Site": "", "Origin": "http://api"}, 401),
        ("POST", {"Sec-Fetch-Site": "SAME-ORIGIN"}, 401),
        ("POST", {"Host": ""}, 401),
        ("POST", {"Host": "", "Origin": "null"}, 401),
        ("POST", {"Host": "", "Origin": ""}, 401),
        ("POST", {"Host": "", "Origin": "http://"}, 401),
        ("POST", SAME | {"Host": ""}, 401),
    ],
)
async def test_a_cookie_counts_only_from_the_apis_own_pages(
    nowhere: FastAPI, issuer: Issuer, user: UUID, method: str, headers: dict[str, str], status: int
) -> None:
    path = "/api/progress/stats" if method == "GET" else "/api/progress/access"
    cookie = {"Cookie": f"session={issuer.token(user)}"}
    async with client_of(nowhere) as client:
        answer = await client.request(method, path, json={}, headers=headers | cookie)

    assert answer.status_code == status


@pytest.mark.parametrize("origin", [None, "null", "", "http://", "http://api"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_names_no_host_is_from_no_page_of_ours(method: str, origin: str | None) -> None:
    headers = [] if origin is None else [(b"origin", origin.encode())]
    request = Request({"type": "http", "method": method, "path": "/", "headers": headers})

    assert not is_from_own_page(request)


async def test_an_unconfigured_cookie_is_ignored(issuer: Issuer, user: UUID) -> None:
    settings = api_settings(Settings(), issuer)
    app = create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))
    async with client_of(app) as client:
        answer = await client.get("/api/progress", headers=SAME | {"Cookie": f"session={issuer.token(user)}"})

    assert answer.status_code == 401
