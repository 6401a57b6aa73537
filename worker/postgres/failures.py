"""Translates an error of asyncpg: repeat, refuse the batch, or stop with a line that names the cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLCertVerificationError

import asyncpg

from worker.errors import DatabaseUnavailable, SetupError, TookTooLong, ValueRefused

URL_UNUSABLE = (
    "PROGRESS_DATABASE_URL cannot be used: is it a postgresql:// URL, are special characters of the password escaped, "
    "and do its certificate files exist?"
)
# By SQLSTATE: https://www.postgresql.org/docs/18/errcodes-appendix.html
# Connection, transaction rollback, resources, operator intervention, system error: the batch is right, so repeat it.
RETRIABLE_CLASSES = ("08", "40", "53", "57", "58")
# A lock timeout; a standby not yet promoted; an idle timeout; a database closed for connections.
RETRIABLE_STATES = ("55P03", "25006", "25P03", "55000")
# Another worker inserted the row meanwhile. A duplicate under any other constraint is a bug.
INSERTED_MEANWHILE = ("lesson_progress_pkey", "course_progress_all_user_id_course_id_key", "consumed_offset_pkey")
# Data exception, constraint violation, program limit: the values are refused every time.
REFUSED_CLASSES = ("22", "23", "54")


@contextmanager
def translate_errors(connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Turns the driver's errors into DatabaseUnavailable, ValueRefused or SetupError; re-raises a bug unchanged.

    Terminates `connection` where the driver has lost track of its state.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _translate(error) from error
    except asyncpg.ClientConfigurationError:
        raise SetupError(URL_UNUSABLE) from None  # the driver's text may contain a part of the password
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # a value that the driver cannot encode
            raise ValueRefused(_first_line(error)) from error
        raise DatabaseUnavailable(_first_line(error)) from error
    except asyncpg.InternalClientError as error:
        # A connection raises this when the server has ended it while it was idle: asyncpg issue 1069.
        if connection is not None:
            connection.terminate()
        raise DatabaseUnavailable(f"the connection to PostgreSQL was lost: {_first_line(error)}") from error
    except FileNotFoundError as error:
        raise DatabaseUnavailable(
            "PostgreSQL's socket, or a certificate file, does not exist; see PROGRESS_DATABASE_URL"
        ) from error
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer ({_first_line(error)}); see PROGRESS_DATABASE_URL"
        ) from error


@contextmanager
def translate_connect_errors() -> Iterator[None]:
    """Turns the errors of connecting into those of `translate_errors`; a wrong URL or certificate is a SetupError."""
    with translate_errors():
        try:
            yield
        except SSLCertVerificationError as error:  # a ValueError too
            raise SetupError(
                f"PostgreSQL's certificate is not trusted ({error.verify_message}): see sslmode and sslrootcert in "
                "PROGRESS_DATABASE_URL"
            ) from error
        except ValueError:  # its text may contain a part of the password
            raise SetupError(URL_UNUSABLE) from None


def _translate(error: asyncpg.PostgresError) -> Exception:
    """Decides by SQLSTATE. Returns the error itself for a bug."""
    state = error.sqlstate or ""
    if isinstance(error, asyncpg.UniqueViolationError):
        return DatabaseUnavailable(_first_line(error)) if error.constraint_name in INSERTED_MEANWHILE else error
    if state == "08P01":  # protocol_violation: a pooler that refuses our startup parameters
        return SetupError(f"PostgreSQL: {_first_line(error)}")
    if state == "57014":  # query_canceled, by statement_timeout
        return TookTooLong(_first_line(error))
    if state in RETRIABLE_STATES or state[:2] in RETRIABLE_CLASSES:
        return DatabaseUnavailable(_first_line(error))
    if state[:2] in REFUSED_CLASSES:
        return ValueRefused(_first_line(error))
    if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)):
        return SetupError(f"{_first_line(error)}: run `course-progress migrate`")
    if state == "42501":  # insufficient_privilege
        return SetupError(
            f"PostgreSQL: {_first_line(error)}: see docs/security-postgresql.md. A worker that may not migrate needs "
            "PROGRESS_ENVIRONMENT=production"
        )
    if state[:2] in ("28", "3D"):  # credentials, no such database
        return SetupError(f"PostgreSQL: {_first_line(error)}; see PROGRESS_DATABASE_URL")
    return error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
