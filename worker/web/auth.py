"""Who calls: a JSON Web Token says it, or nobody gets in.

There is no way from a setting to a symmetric key: production has the two classes of keys below, both of public keys.
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
from worker.web.keys import Keys, UnknownKey
from worker.web.problems import Problem
from worker.web.settings import ApiSettings

log = structlog.get_logger("api")

LEEWAY_S = 10
REMEMBER_S = 60
REMEMBERED = 50_000  # tokens, at half a kilobyte each
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Scope(StrEnum):
    """What a token may allow beyond its own learner's progress."""

    READ_ANY = "progress:read:any"
    ANALYTICS = "course:analytics"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a valid token is about, what else it allows, and until when (in seconds since 1970)."""

    user_id: UUID
    scopes: frozenset[str]
    expires_at: float
    courses: frozenset[str] = frozenset()  # whose figures it may see, with the scope; "*" is all

    def require(self, scope: Scope) -> None:
        """Raises a problem, 403."""
        if scope not in self.scopes:
            raise Problem(403, f"the token lacks the scope {scope}")

    def require_course(self, course_id: UUID) -> None:
        """Raises a problem, 403."""
        if self.courses.isdisjoint({str(course_id), "*"}):
            raise Problem(403, "the token's claim `courses` does not name this course")


class Tokens:
    """Reads the token of a request: the Authorization header's, or without one a cookie's, if it has a name here.

    A token that was valid is not verified again for a minute, unless it ends before: docs/decisions/0018.
    """

    def __init__(self, settings: ApiSettings, keys: Keys, cookie: str | None = None) -> None:
        if not settings.jwt_issuer or not settings.jwt_audience:
            raise SetupError("PROGRESS_JWT_ISSUER and PROGRESS_JWT_AUDIENCE must be set (docs/api.md)")
        self._issuer, self._audience = settings.jwt_issuer, settings.jwt_audience
        self._keys = keys
        self._cookie = cookie
        self._valid: TLRUCache[bytes, Caller] = TLRUCache(REMEMBERED, _forget_at, time.time)

    async def identify(self, request: Request) -> Caller:
        """Raises a problem, 401, for whatever is wrong; KeysUnavailable."""
        token = self._read_header(request) or self._read_cookie(request)
        if token is None:
            raise token_problem("there is no token")
        key = hashlib.sha256(token.encode(errors="replace")).digest()  # a dump of the memory gives nobody a token
        found = self._valid.get(key)
        if found is None:
            found = self._valid[key] = await self._verify(token)
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
    return Problem(401, detail, headers={"WWW-Authenticate": f'Bearer error="{error}"' if error else "Bearer"})


def is_from_own_page(request: Request) -> bool:
    """Whether no other site's page made the browser send this: a cookie alone proves nothing."""
    safe = request.method in SAFE_METHODS
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin" or (safe and (site == "none" or _is_navigation(request)))
    # Without TLS browsers send no Sec-Fetch-Site, and with every method but GET and HEAD an Origin.
    origin = request.headers.get("origin")
    return safe if origin is None else origin.partition("://")[2] == request.headers.get("host")


def _is_navigation(request: Request) -> bool:
    """Whether somebody follows a link to a page: the other site's cannot see what it shows.

    Nobody follows a link to the API. Another site could open the learner's streams with it until there is none left.
    """
    asked = (request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest"))
    return asked == ("navigate", "document") and not request.scope["path"].startswith("/api/")


def _build_caller(claims: Mapping[str, Any]) -> Caller:
    return Caller(UUID(claims["sub"]), read_scopes(claims), float(claims["exp"]), read_courses(claims))


def read_scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Of `scope`, or else `scp` (Entra ID's and Okta's name for it): a list, or text with spaces."""
    value = claims.get("scope", claims.get("scp", ()))
    items = value.split() if isinstance(value, str) else value
    return (
        frozenset(item for item in items if isinstance(item, str)) if isinstance(items, list | tuple) else frozenset()
    )


def read_courses(claims: Mapping[str, Any]) -> frozenset[str]:
    """Of `courses`: a list of ids, or "*"."""
    value = claims.get("courses", ())
    items = [value] if isinstance(value, str) else value
    return (
        frozenset(item.lower() for item in items if isinstance(item, str)) if isinstance(items, list) else frozenset()
    )


async def caller(request: Request) -> Caller:
    """The dependency of everything under /api, of which `openapi` tells: FastAPI's own way would cost each request."""
    tokens: Tokens = request.app.state.tokens
    return await tokens.identify(request)


CallerDep = Annotated[Caller, Depends(caller)]
