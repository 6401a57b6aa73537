"""Provides access tokens for SASL OAUTHBEARER: from a token endpoint (client credentials, RFC 6749) or from a file.

aiokafka asks for a token whenever it connects.
"""

import asyncio
import base64
import json
import threading
import time
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote_plus, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from aiokafka.abc import AbstractTokenProvider

from worker.errors import TokenRefused, TokenUnavailable
from worker.settings import Settings

TIMEOUT_S = 10
LIFETIME_S = 60  # where the endpoint does not state a token's lifetime
RENEW_AFTER = 0.8  # of a token's lifetime
BUSY = (408, 429)  # HTTP statuses that pass, as those from 500 on do


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


class NoRedirects(HTTPRedirectHandler):
    """Follows no redirect, because it would take the client secret to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]
    """Fetches a token and keeps it until it nears its end. Serves any number of tasks and event loops."""

    def __init__(self, settings: Settings) -> None:
        assert settings.kafka_oauth_client_id is not None
        assert settings.kafka_oauth_client_secret is not None
        secret = settings.kafka_oauth_client_secret.get_secret_value()
        credentials = f"{quote_plus(settings.kafka_oauth_client_id)}:{quote_plus(secret)}"
        form = {"grant_type": "client_credentials", "scope": settings.kafka_oauth_scope}
        self._request = Request(
            str(settings.kafka_oauth_token_url),
            urlencode({name: value for name, value in form.items() if value}).encode(),
            {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}", "Accept": "application/json"},
        )
        self._opener = build_opener(NoRedirects)
        self._renewing = threading.Lock()
        self._token = ""
        self._renew_at = self._expires_at = 0.0

    async def token(self) -> str:
        """Returns a valid token, within TIMEOUT_S when a new one is due. Raises TokenUnavailable or TokenRefused."""
        return await asyncio.to_thread(self._renew_if_due)

    def _renew_if_due(self) -> str:
        with self._renewing:
            if time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        asked_at = time.monotonic()
        try:
            self._token, lifetime_s = self._fetch()
        except (TokenUnavailable, TokenRefused):  # perhaps from a gateway in between; the old token is still valid
            if asked_at >= self._expires_at:
                raise
        else:
            self._renew_at = asked_at + lifetime_s * RENEW_AFTER
            self._expires_at = asked_at + lifetime_s

    def _fetch(self) -> tuple[str, float]:
        """Returns a new token and its lifetime in seconds. Error texts contain nothing that was sent."""
        try:
            with self._opener.open(self._request, timeout=TIMEOUT_S) as response:
                answer = json.load(response)
            return str(answer["access_token"]), float(answer.get("expires_in") or LIFETIME_S)
        except HTTPError as error:
            error.close()
            kind = TokenRefused if error.code < 500 and error.code not in BUSY else TokenUnavailable
            raise kind(f"PROGRESS_KAFKA_OAUTH_TOKEN_URL answers {error.code}") from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else type(error).__name__
            raise TokenUnavailable(f"PROGRESS_KAFKA_OAUTH_TOKEN_URL does not answer: {reason}") from None
        except (ValueError, TypeError, LookupError, AttributeError):
            raise TokenRefused(
                "PROGRESS_KAFKA_OAUTH_TOKEN_URL answers without an access token: is it a token endpoint?"
            ) from None
