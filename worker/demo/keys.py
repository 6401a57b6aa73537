"""Signs the demo's tokens, with a random secret that only this process has."""

import secrets
import time
from collections.abc import Collection
from uuid import UUID

import jwt

ISSUER, AUDIENCE = "course-progress demo", "course-progress demo"
ALGORITHM = "HS256"


class DemoKeys:
    """Signs a token for any user, and serves as the `Keys` (worker/web/keys.py) of the demo. No setting selects it."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    @property
    def algorithms(self) -> Collection[str]:
        return (ALGORITHM,)

    async def find(self, kid: str | None) -> bytes:
        return self._secret

    def token(self, user_id: UUID, *scopes: str, courses: str = "", for_s: float = 24 * 60 * 60) -> str:
        """Signs a token for this user, with these scopes, and the courses whose figures the user may see."""
        claims = {
            "sub": str(user_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": time.time() + for_s,
            "scope": " ".join(scopes),
            "courses": courses,
        }
        return jwt.encode(claims, self._secret, ALGORITHM)
