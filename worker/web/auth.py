"""Identifies callers by a JSON Web Token: no request gets in without a valid one.

No setting leads to a symmetric key: production has the two classes in keys.py, and both hold public keys.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import jwt
import structlog
from cachetools import TLRUCache
from fastapi import Depends, Request

from worker.errors import SetupError
from worker.web.connection import CALLER
from worker.web.keys import Keys, UnknownKey
from worker.web.problems import Problem
from worker.web.settings import ApiSettings

log = structlog.get_logger("api")

LEEWAY_S = 10
REMEMBER_S = 60
REMEMBERED = 50_000  # tokens, at half a kilobyte each
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Scope(StrEnum):
    """Names what a token may allow beyond its own learner's progress."""

    READ_ANY = "progress:read:any"
    ANALYTICS = "course:analytics"
    CATALOG = "catalog:write"
    WAIVERS = "waivers:write"
    CERTIFICATES = "certificates"
    LEARNERS = "learners:write"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class Caller:
    """Says whom a valid token is about, what else it allows, and when it expires (seconds since 1970)."""

    user_id: UUID
    scopes: frozenset[str]
    expires_at: float
    courses: frozenset[str] = frozenset()  # ids for which the scopes of courses count; "*" is all

    def require(self, scope: Scope) -> None:
        """Raises a problem, 403, unless the token has this scope."""
        if scope not in self.scopes:
            raise Problem(403, f"the token lacks the scope {scope}")

    def require_course(self, course_id: UUID) -> None:
        """Raises a problem, 403, unless the token names this course."""
        if self.courses.isdisjoint({str(course_id), "*"}):
            raise Problem(403, "the token's claim `courses` does not name this course")


class Tokens:
    """Reads a request's token from the Authorization header, or without one from the cookie, if this has a name.

    A token that was valid is not verified again for a minute, unless it expires before: docs/decisions/0018.
    """

    def __init__(self, settings: ApiSettings, keys: Keys, cookie: str | None = None) -> None:
        if not settings.jwt_issuer or not settings.jwt_audience:
            raise SetupError("PROGRESS_JWT_ISSUER and PROGRESS_JWT_AUDIENCE must be set (docs/api.md)")
        self._issuer, self._audience = settings.jwt_issuer, settings.jwt_audience
        self._keys = keys
        self._cookie = cookie
        self._valid: TLRUCache[bytes, Caller] = TLRUCache(REMEMBERED, _forget_at, time.time)

    async def identify(self, request: Request) -> Caller:
        """Returns whom the request's token is about. Raises a problem, 401, for any fault, or KeysUnavailable."""
        token = self._read_header(request) or self._read_cookie(request)
        if token is None:
            raise token_problem("there is no token")
        key = hashlib.sha256(token.encode(errors="replace")).digest()  # so a memory dump holds no token
        found = self._valid.get(key)
        if found is None:
            found = self._valid[key] = await self._verify(token)
        request.scope[CALLER] = found  # so that its connection is not closed for a stranger's
        return found

    async def _verify(self, token: str) -> Caller:
        try:
            return _build_caller(await self._read_claims(token))
        except jwt.ExpiredSignatureError:
            raise token_problem("the token has expired", error="invalid_token") from None
        except (jwt.PyJWTError, UnknownKey, ValueError, OverflowError) as error:
            log.debug("a token is not valid", reason=str(error))
            raise token_problem("the token is not valid", error="invalid_token") from None

    def _read_header(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def _read_cookie(self, request: Request) -> str | None:
        if self._cookie is None or "authorization" in request.headers or not is_from_own_page(request):
            return None
        return request.cookies.get(self._cookie)

    async def _read_claims(self, token: str) -> Mapping[str, Any]:
        key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(self._keys.algorithms),
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )
        return claims


def _forget_at(_: bytes, caller: Caller, now: float) -> float:
    return min(now + REMEMBER_S, caller.expires_at + LEEWAY_S)


def token_problem(detail: str, error: str | None = None) -> Problem:
    """Returns a problem, 401, with the header WWW-Authenticate."""
    return Problem(401, detail, headers={"WWW-Authenticate": f'Bearer error="{error}"' if error else "Bearer"})


def is_from_own_page(request: Request) -> bool:
    """Returns whether no other site's page made the browser send this request: a cookie alone proves nothing."""
    host = request.headers.get("host")
    if not host:  # every browser names it, and an Origin that names nothing, such as `null`, would equal it
        return False
    safe = request.method in SAFE_METHODS
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin" or (safe and (site == "none" or _is_navigation(request)))
    # Without TLS, browsers send no Sec-Fetch-Site, but an Origin with every method except GET and HEAD.
    origin = request.headers.get("origin")
    return safe if origin is None else origin in (f"http://{host}", f"https://{host}")


def _is_navigation(request: Request) -> bool:
    """Returns whether the user follows a link to a page: the other site cannot see what it shows.

    A link to the API does not count, because another site could open the learner's streams until none is left.
    """
    asked = (request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest"))
    return asked == ("navigate", "document") and not request.scope["path"].startswith("/api/")


def _build_caller(claims: Mapping[str, Any]) -> Caller:
    return Caller(UUID(claims["sub"]), read_scopes(claims), float(claims["exp"]), read_courses(claims))


def read_scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Reads `scope`, or else `scp` (its name at Entra ID and Okta): a list, or text with spaces."""
    value = claims.get("scope", claims.get("scp", ()))
    items = value.split() if isinstance(value, str) else value
    return (
        frozenset(item for item in items if isinstance(item, str)) if isinstance(items, list | tuple) else frozenset()
    )


def read_courses(claims: Mapping[str, Any]) -> frozenset[str]:
    """Reads `courses`: a list of ids, or "*"."""
    value = claims.get("courses", ())
    items = [value] if isinstance(value, str) else value
    return (
        frozenset(item.lower() for item in items if isinstance(item, str)) if isinstance(items, list) else frozenset()
    )


async def caller(request: Request) -> Caller:
    """Provides the caller: a dependency of everything under /api.

    openapi.py adds it to the contract, because FastAPI's own security classes would cost time in each request.
    """
    tokens: Tokens = request.app.state.tokens
    return await tokens.identify(request)


CallerDep = Annotated[Caller, Depends(caller)]
