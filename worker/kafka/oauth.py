"""Provides access tokens for SASL OAUTHBEARER: from a token endpoint (client credentials, RFC 6749) or from a file.

aiokafka asks for a token whenever it connects.
"""

import asyncio
import base64
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote_plus

from aiokafka.abc import AbstractTokenProvider
from pydantic_core import from_json

from worker.errors import TokenRefused, TokenUnavailable
from worker.http_client import NoAnswer, fetch
from worker.settings import Settings

LIFETIME_S = 60  # where the endpoint does not state a token's lifetime
RENEW_AFTER = 0.8  # of a token's lifetime
BUSY = (408, 429)  # HTTP statuses that pass, as those from 500 on do


@dataclass(frozen=True, slots=True)
class Token:
    """Holds a token, and until when it serves, by the monotonic clock."""

    text: str
    renew_at: float
    expires_at: float


Outcome = Token | TokenUnavailable | TokenRefused  # a value, because the last caller may be gone when a fetch fails


@cache
def token_provider(settings: Settings) -> AbstractTokenProvider:
    """Returns one provider for all clients of these settings, so that they share its token."""
    if settings.kafka_oauth_token_file:
        return TokenFile(settings.kafka_oauth_token_file)
    return TokenEndpoint(settings)


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """Reads a file in which another process keeps a valid token, as Kubernetes does with a projected token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Reads the file at every call. Raises TokenUnavailable."""
        try:
            token = (await asyncio.to_thread(self._path.read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenUnavailable(f"PROGRESS_KAFKA_OAUTH_TOKEN_FILE cannot be read: {type(error).__name__}") from None
        if not token:
            raise TokenUnavailable("PROGRESS_KAFKA_OAUTH_TOKEN_FILE is empty")
        return token


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]
    """Fetches a token and keeps it until it nears its end. Serves any number of tasks and event loops."""

    def __init__(self, settings: Settings) -> None:
        assert settings.kafka_oauth_client_id is not None
        assert settings.kafka_oauth_client_secret is not None
        self._url = str(settings.kafka_oauth_token_url)
        form = {"grant_type": "client_credentials", "scope": settings.kafka_oauth_scope}
        self._form = {name: value for name, value in form.items() if value}
        secret = settings.kafka_oauth_client_secret.get_secret_value()
        credentials = f"{quote_plus(settings.kafka_oauth_client_id)}:{quote_plus(secret)}"
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        self._kept = Token("", 0.0, 0.0)
        self._renewing: dict[asyncio.AbstractEventLoop, asyncio.Task[Outcome]] = {}

    async def token(self) -> str:
        """Returns a valid token. Raises TokenUnavailable or TokenRefused.

        A caller waits at most LONGEST_FETCH_S, when a new token is due: all callers of one loop wait for one fetch.
        """
        if time.monotonic() < self._kept.renew_at:
            return self._kept.text
        loop = asyncio.get_running_loop()
        renewing = self._renewing.get(loop)
        if renewing is None or renewing.done():
            renewing = self._renewing[loop] = loop.create_task(self._renew(), name="token for Kafka")
            renewing.add_done_callback(lambda done: self._forget(loop, done))
        await asyncio.wait([renewing])
        outcome = renewing.result()
        if isinstance(outcome, Token):
            return outcome.text
        raise outcome

    def _forget(self, loop: asyncio.AbstractEventLoop, done: asyncio.Task[Outcome]) -> None:
        if self._renewing.get(loop) is done:
            del self._renewing[loop]

    async def _renew(self) -> Outcome:
        asked_at = time.monotonic()
        try:
            text, lifetime_s = await self._fetch()
        except (TokenUnavailable, TokenRefused) as error:  # perhaps from a gateway in between
            return self._kept if asked_at < self._kept.expires_at else error
        self._kept = Token(text, asked_at + lifetime_s * RENEW_AFTER, asked_at + lifetime_s)
        return self._kept

    async def _fetch(self) -> tuple[str, float]:
        """Returns a new token and its lifetime in seconds. Error texts contain nothing that was sent."""
        try:
            answer = await fetch(self._url, self._form, self._authorization)
        except NoAnswer as error:
            raise TokenUnavailable(f"PROGRESS_KAFKA_OAUTH_TOKEN_URL does not answer: {error}") from None
        if not 200 <= answer.status < 300:
            kind = TokenUnavailable if answer.status >= 500 or answer.status in BUSY else TokenRefused
            raise kind(f"PROGRESS_KAFKA_OAUTH_TOKEN_URL answers {answer.status}")
        try:
            fields = from_json(answer.body)
            return str(fields["access_token"]), float(fields.get("expires_in") or LIFETIME_S)
        except (ValueError, TypeError, LookupError, AttributeError):
            raise TokenRefused(
                "PROGRESS_KAFKA_OAUTH_TOKEN_URL answers without an access token: is it a token endpoint?"
            ) from None
