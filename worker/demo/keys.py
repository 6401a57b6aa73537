"""Who is who in the demo: tokens signed with a secret that this process made up."""

import secrets
import time
from collections.abc import Collection
from uuid import UUID

import jwt

ISSUER, AUDIENCE = "course-progress demo", "course-progress demo"
ALGORITHM = "HS256"


class DemoKeys:
    """An `auth.Keys` that lets its owner be anybody: it exists only in code, no setting leads to it."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    @property
    def algorithms(self) -> Collection[str]:
        return (ALGORITHM,)

    async def find(self, kid: str | None) -> bytes:
        return self._secret

    def token(self, user_id: UUID, *scopes: str, courses: str = "", for_s: float = 24 * 60 * 60) -> str:
        """A token of this learner, who may see these courses' figures."""
        claims = {
            "sub": str(user_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": time.time() + for_s,
            "scope": " ".join(scopes),
            "courses": courses,
        }
        return jwt.encode(claims, self._secret, ALGORITHM)
