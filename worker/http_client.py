"""Fetches a small document from another server: an issuer's keys, an access token."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

from worker.errors import ProgressError

LONGEST_FETCH_S = 5.0
LARGEST_BODY = 256 * 1024  # bytes: parsing them holds the event loop for a few milliseconds


class NoAnswer(ProgressError):
    """The server gives no answer that can be read. The text contains nothing that was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds an answer's status, and its body if the status is 2xx."""

    status: int
    body: bytes


async def fetch(
    url: str, form: Mapping[str, str] | None = None, authorization: str | None = None, ca_file: Path | None = None
) -> Answer:
    """Gets the document at this URL, or posts a form to it. Raises NoAnswer.

    With `ca_file` only these authorities are trusted, and no proxy is asked: such a server is near.

    A caller waits at most LONGEST_FETCH_S for the whole: the name, the connection and the last byte. An answer that
    is late or larger than LARGEST_BODY is given up. Follows no redirect, because it would take keys from another
    host, and secrets to it. Serves any event loop, because no connection outlives a call.
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        async with (
            asyncio.timeout(LONGEST_FETCH_S),
            ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None)) as session,
            session.request(
                "GET" if form is None else "POST",
                url,
                data=form,
                headers=headers,
                proxy=None if ca_file else _find_proxy(url),
                ssl=ssl.create_default_context(cafile=ca_file) if ca_file else True,
                allow_redirects=False,
            ) as response,
        ):
            body = bytearray()
            if 200 <= response.status < 300:
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > LARGEST_BODY:
                        raise NoAnswer(f"the answer is larger than {LARGEST_BODY:,} bytes")
            return Answer(response.status, bytes(body))
    except TimeoutError:
        raise NoAnswer(f"the answer is not there within {LONGEST_FETCH_S:g} s") from None
    except (ClientError, OSError, ValueError) as error:
        raise NoAnswer(_explain(error)) from None


def _find_proxy(url: str) -> str | None:
    """Finds the operator's proxy for this URL. Not aiohttp's `trust_env`, which would read passwords from ~/.netrc."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _explain(error: Exception) -> str:
    """Returns why there is no answer: the system's words for a failed connection, else only the error's name."""
    certificate = getattr(error, "certificate_error", None)
    reason = certificate or (error.os_error if isinstance(error, ClientConnectorError) else None)
    return str(reason) if reason else type(error).__name__
