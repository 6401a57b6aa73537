"""Opens and closes connections to PostgreSQL, and reads the SQL statements that run on them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from worker.errors import SetupError
from worker.postgres.failures import translate_connect_errors
from worker.settings import Settings

OLDEST_SERVER = 18
CONNECT_WITHIN_S = 10
CLOSE_WITHIN_S = 1
ROOMS = Path(__file__).parent.parent


@cache
def query(name: str) -> str:
    """Reads the statement in `worker/<name>.sql`, such as `progress/apply`."""
    return (ROOMS / f"{name}.sql").read_text()


async def fetch_one(connection: asyncpg.Connection, name: str, *arguments: Any) -> asyncpg.Record:
    """Executes the statement `worker/<name>.sql`, which always returns one row."""
    row = await connection.fetchrow(query(name), *arguments)
    assert row is not None
    return row


async def connect(settings: Settings, **server_settings: str) -> asyncpg.Connection:
    """Opens a connection, in UTC and with the time limits of the settings. Raises what `open_connection` does."""
    return await open_connection(**connect_arguments(settings, server_settings))


async def open_connection(dsn: str | None = None, **arguments: Any) -> asyncpg.Connection:
    """Opens a connection with arguments of asyncpg.

    Raises DatabaseUnavailable, or SetupError for settings that are wrong or a server that is too old.
    """
    with translate_connect_errors():
        connection: asyncpg.Connection = await asyncpg.connect(dsn, **arguments)
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        await connection.close()
        raise SetupError(
            f"PostgreSQL {OLDEST_SERVER} or newer is needed, and the server is {version.major}: upgrade it"
        )
    return connection


def server_timeouts(settings: Settings) -> dict[str, str]:
    """Returns the server's own time limits, so that an abandoned statement neither goes on nor holds its locks.

    The server ends a statement a little before the client gives up, because its error says what happened.
    """
    seconds = {
        "statement_timeout": settings.database_timeout_s * 0.9,
        "lock_timeout": settings.database_lock_timeout_s,
        "idle_in_transaction_session_timeout": settings.database_idle_timeout_s,
    }
    return {name: f"{max(1, round(limit * 1000))}ms" for name, limit in seconds.items()}  # 0 would be no limit


async def close(connection: asyncpg.Connection) -> None:
    """Closes a connection within CLOSE_WITHIN_S, also when the server does not answer."""
    try:
        await connection.close(timeout=CLOSE_WITHIN_S)
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


def with_time_limit(settings: Settings, longest_s: float) -> Settings:
    """Returns the settings with statements, and waits for a lock, limited to `longest_s`."""
    names = ("database_timeout_s", "database_lock_timeout_s")
    return settings.model_copy(update={name: min(getattr(settings, name), longest_s) for name in names})


def connect_arguments(settings: Settings, server_settings: Mapping[str, str]) -> dict[str, Any]:
    """Builds asyncpg's arguments for a connection or a pool; `server_settings` are added to the session's own."""
    session = {"application_name": "course-progress", "timezone": "UTC"}
    return {
        "dsn": settings.database_url.get_secret_value(),
        "command_timeout": settings.database_timeout_s,
        "timeout": min(CONNECT_WITHIN_S, settings.database_timeout_s),
        "server_settings": session | server_timeouts(settings) | dict(server_settings),
    }
