"""What PostgreSQL's errors mean to whoever called."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from worker.errors import DatabaseUnavailable, SetupError, TookTooLong, ValueRefused

URL_UNUSABLE = (
    "PROGRESS_DATABASE_URL cannot be used: is it a postgresql:// URL, are special characters of the password escaped, "
    "and certificate files where it says?"
)
# By SQLSTATE: https://www.postgresql.org/docs/18/errcodes-appendix.html
# Connection, transaction rollback, resources, operator intervention, system error: nothing is wrong with the batch.
RETRIABLE_CLASSES = ("08", "40", "53", "57", "58")
# A lock timeout; a standby not yet promoted; an idle timeout; a database closed for connections.
RETRIABLE_STATES = ("55P03", "25006", "25P03", "55000")
# A row that another worker inserted meanwhile. Elsewhere a duplicate is a mistake.
INSERTED_MEANWHILE = ("lesson_progress_pkey", "course_progress_all_user_id_course_id_key", "consumed_offset_pkey")
# Data exception, constraint violation, program limit: the values will be refused every time.
REFUSED_CLASSES = ("22", "23", "54")


@contextmanager
def translate_errors(connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Turns the driver's errors into DatabaseUnavailable, ValueRefused or SetupError; a bug stays what it is.

    A connection that the driver has lost track of is closed.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _translate(error) from error
    except asyncpg.ClientConfigurationError:
        raise SetupError(URL_UNUSABLE) from None  # its text may have a part of the password
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # a value that the driver cannot encode
            raise ValueRefused(_line(error)) from error
        raise DatabaseUnavailable(_line(error)) from error
    except asyncpg.InternalClientError as error:
        # What a connection raises that the server ended while it was idle: asyncpg issue 1069.
        if connection is not None:
            connection.terminate()
        raise DatabaseUnavailable(f"the connection to PostgreSQL was lost: {_line(error)}") from error
    except FileNotFoundError as error:
        raise DatabaseUnavailable(
            "no such file: PostgreSQL's socket, or a certificate file; see PROGRESS_DATABASE_URL"
        ) from error
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"PostgreSQL does not answer ({_line(error)}); see PROGRESS_DATABASE_URL") from error


def _translate(error: asyncpg.PostgresError) -> Exception:
    state = error.sqlstate or ""
    if isinstance(error, asyncpg.UniqueViolationError):
        return DatabaseUnavailable(_line(error)) if error.constraint_name in INSERTED_MEANWHILE else error
    if state == "08P01":  # a pooler that refuses our startup parameters
        return SetupError(f"PostgreSQL: {_line(error)}")
    if state == "57014":  # query_canceled, by statement_timeout
        return TookTooLong(_line(error))
    if state in RETRIABLE_STATES or state[:2] in RETRIABLE_CLASSES:
        return DatabaseUnavailable(_line(error))
    if state[:2] in REFUSED_CLASSES:
        return ValueRefused(_line(error))
    if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)):
        return SetupError(f"{_line(error)}: run `course-progress migrate`")
    if state == "42501":
        return SetupError(
            f"PostgreSQL: {_line(error)}: see docs/security-postgresql.md, and PROGRESS_ENVIRONMENT=production for a "
            "worker that may not migrate"
        )
    if state[:2] in ("28", "3D"):  # credentials, no such database
        return SetupError(f"PostgreSQL: {_line(error)}; see PROGRESS_DATABASE_URL")
    return error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
