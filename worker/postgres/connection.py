"""Connections to PostgreSQL, and what its errors mean to whoever called."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any

import asyncpg

from worker.errors import SetupError
from worker.postgres.failures import URL_UNUSABLE, translate_errors
from worker.settings import Settings

OLDEST_SERVER = 18
CONNECT_WITHIN_S = 10
CLOSE_WITHIN_S = 5
ROOMS = Path(__file__).parent.parent


@cache
def query(name: str) -> str:
    """Reads the statement `worker/<name>.sql`: `progress/apply`, say."""
    return (ROOMS / f"{name}.sql").read_text()


async def connect(settings: Settings, **server_settings: str) -> asyncpg.Connection:
    """One connection in UTC. Raises DatabaseUnavailable, or SetupError for a server that is too old."""
    return await open_connection(**connect_arguments(settings, server_settings))


async def open_connection(dsn: str | None = None, **arguments: Any) -> asyncpg.Connection:
    with translate_errors(), _url_understood():
        connection: asyncpg.Connection = await asyncpg.connect(dsn, **arguments)
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        await connection.close()
        raise SetupError(f"PostgreSQL {OLDEST_SERVER} or newer is needed, the server is {version.major}")
    return connection


def server_timeouts(settings: Settings) -> dict[str, str]:
    """What the server cuts short itself, so that nothing of it goes on, or holds its locks, unseen.

    A statement a little before the client gives up: the server's error says what happened.
    """
    seconds = {
        "statement_timeout": settings.database_timeout_s * 0.9,
        "lock_timeout": settings.database_lock_timeout_s,
        "idle_in_transaction_session_timeout": settings.database_idle_timeout_s,
    }
    return {name: f"{max(1, round(limit * 1000))}ms" for name, limit in seconds.items()}  # 0 would be no limit


@contextmanager
def _url_understood() -> Iterator[None]:
    try:
        yield
    except SSLCertVerificationError as error:  # a ValueError too
        raise SetupError(
            f"PostgreSQL's certificate is not trusted ({error.verify_message}): see sslmode and sslrootcert in "
            "PROGRESS_DATABASE_URL"
        ) from error
    except ValueError:  # its text may have a part of the password
        raise SetupError(URL_UNUSABLE) from None


async def close(connection: asyncpg.Connection) -> None:
    """Closes a connection, also when nobody is at the other end."""
    try:
        await connection.close(timeout=CLOSE_WITHIN_S)
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


def with_time_limit(settings: Settings, longest_s: float) -> Settings:
    """The same settings, but that no statement, and no wait for a lock, takes longer."""
    names = ("database_timeout_s", "database_lock_timeout_s")
    return settings.model_copy(update={name: min(getattr(settings, name), longest_s) for name in names})


def connect_arguments(settings: Settings, server_settings: Mapping[str, str]) -> dict[str, Any]:
    known_as = {"application_name": "course-progress", "timezone": "UTC"}
    return {
        "dsn": settings.database_url.get_secret_value(),
        "command_timeout": settings.database_timeout_s,
        "timeout": min(CONNECT_WITHIN_S, settings.database_timeout_s),
        "server_settings": known_as | server_timeouts(settings) | dict(server_settings),
    }
