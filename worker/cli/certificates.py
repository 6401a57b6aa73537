"""Defines the commands `certificates`: shows them, revokes one or has it issued anew, and finds what is missing."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import asyncpg
import click

from worker.certificates.settings import CertificateSettings
from worker.cli.options import Group
from worker.cli.output import say
from worker.errors import ProgressError
from worker.plain_text import escape, to_json
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.certificates.reconcile import Missing, Unfounded

T = TypeVar("T")
CODE = "kq2vxhd5z7b3wmeyrjt4ncug6a"
DIFFERENCES, ERROR = 1, 3  # exit statuses; 2 is a wrong command line
MOST_UNFOUNDED = 10_000


@click.group(
    cls=Group,
    short_help="Shows, revokes and reissues certificates.",
    epilog="course-progress certificates reconcile\ncourse-progress certificates COMMAND --help",
)
def certificates() -> None:
    """Shows certificates, revokes them or has them issued anew, and finds those that are missing.

    What is to be done with one is planned, and `course-progress effects` does it.
    """


def with_database(run: Callable[[asyncpg.Connection, CertificateSettings], Awaitable[T]]) -> T:
    """Calls `run` with a connection. Raises DatabaseUnavailable, SetupError, and what it raises."""
    from worker.postgres.connection import close, connect
    from worker.postgres.failures import translate_errors

    async def connected() -> T:
        settings = read_settings(CertificateSettings)
        connection = await connect(settings)
        try:
            with translate_errors(connection):
                return await run(connection, settings)
        finally:
            await close(connection)

    return asyncio.run(connected())


def plain(value: Any) -> Any:
    """Makes a value of a row one that JSON has."""
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, UUID) else value


@certificates.command(
    "list",
    short_help="Prints certificates.",
    epilog="course-progress certificates list --status revoked\n"
    "course-progress certificates list --course 0190a6e2-0000-7000-8000-00000000000a --json | jq .code",
)
@click.option("--user", "user_id", type=click.UUID, help="Only those of this learner.")
@click.option("--course", "course_id", type=click.UUID, help="Only those for this course.")
@click.option("--status", type=click.Choice(["valid", "revoked", "withdrawn"]), help="Only those of this status.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Print at most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one JSON object.")
def list_(as_json: bool, **chosen: Any) -> None:
    """Prints certificates, the latest issued first. Names are not among it: `certificates show` prints one."""
    from worker.certificates.administration import list_certificates

    for row in with_database(lambda connection, _: list_certificates(connection, **chosen)):
        say(to_json({name: plain(value) for name, value in row.items()}) if as_json else format_line(row))


def format_line(row: asyncpg.Record) -> str:
    """Formats a certificate as a line to be read."""
    since = f" since {row['status_at']:%Y-%m-%d}" if row["status"] != "valid" else ""
    reason = f" ({escape(row['reason'])})" if row["reason"] else ""
    wish = f", {row['wish']} is planned" if row["wish"] else ""
    return (
        f"{row['code']} {row['status']}{since}{reason}: user {row['user_id']} course {row['course_id']} "
        f"version {row['course_version']}, {escape(row['title'])}, completed on {row['completed_on']}, "
        f"issue {row['issue']}{wish}"
    )


@certificates.command(short_help="Prints one certificate.", epilog=f"course-progress certificates show {CODE}")
@click.argument("code")
def show(code: str) -> None:
    """Prints what a certificate says and what has become of it, as one JSON object."""
    from worker.certificates.administration import show_certificate

    row = with_database(lambda connection, _: show_certificate(connection, code))
    say(to_json({name: plain(value) for name, value in row.items()}))


@certificates.command(
    short_help="Revokes a certificate.",
    epilog=f"course-progress certificates revoke {CODE} --reason 'somebody else did the exam'",
)
@click.argument("code")
@click.option("--reason", required=True, help="Why, 1 to 500 characters; whoever verifies it reads this.")
def revoke(code: str, reason: str) -> None:
    """Revokes a certificate at once. No completion makes it valid again, only `certificates reissue`."""
    from worker.certificates import administration

    if not 1 <= len(reason) <= 500:
        raise click.BadParameter("it has 1 to 500 characters", param_hint="--reason")
    with_database(lambda connection, settings: administration.revoke(connection, settings, code, reason))
    say(f"planned: {code} is revoked as soon as `course-progress effects` runs")


@certificates.command(
    short_help="Has a certificate issued anew.", epilog=f"course-progress certificates reissue {CODE}"
)
@click.argument("code")
def reissue(code: str) -> None:
    """Has a certificate issued anew, with the learner's name and the course's title of today.

    Code and link stay. Its credential is a new one, and the old one is revoked. It is valid then, also if it was
    revoked by hand, if a completion stands behind it.
    """
    from worker.certificates import administration

    with_database(lambda connection, settings: administration.reissue(connection, settings, code))
    say(f"planned: {code} is issued anew as soon as `course-progress effects` runs")


@certificates.command(
    short_help="Finds certificates that are missing; --fix plans them.",
    epilog="course-progress certificates reconcile\ncourse-progress certificates reconcile --json | jq .reason",
)
@click.option("--fix", is_flag=True, help="Plan what is missing, from what the workers have written.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one JSON object.")
def reconcile(fix: bool, as_json: bool) -> None:
    """Finds completions older than ten minutes without the certificate that they are owed, and why they have none.

    And valid certificates without a completion, which --fix leaves alone. Exits 0 if there are none of both, 1 if there
    are some, also with --fix, and 3 if it could not compare.
    """
    try:
        found = with_database(partial(_reconcile, fix=fix, as_json=as_json))
    except ProgressError as error:
        say(f"course-progress: {escape(str(error))}", err=True)
        sys.exit(ERROR)
    sys.exit(DIFFERENCES if found else 0)


async def _reconcile(connection: asyncpg.Connection, settings: CertificateSettings, *, fix: bool, as_json: bool) -> int:
    from worker.certificates import reconcile as room

    missing = planned = 0
    async for some in room.find_all_missing(connection, settings):
        missing += len(some)
        for one in some:
            say(_to_json(one, missing=True) if as_json else format_missing(one))
        planned += await room.fix(connection, settings, some) if fix else 0
    unfounded = await room.find_unfounded(connection, MOST_UNFOUNDED)
    for certificate in unfounded:
        say(_to_json(certificate, missing=False) if as_json else format_unfounded(certificate))
    more = f"; planned for {planned:,} learners and courses" if fix else ""
    say(f"{missing:,} certificates missing, {len(unfounded):,} without a completion{more}", err=True)
    return missing + len(unfounded)


def _to_json(found: "Missing | Unfounded", *, missing: bool) -> str:
    values = {name: plain(value) for name, value in asdict(found).items()}
    return to_json({"found": "missing" if missing else "without a completion", **values})


def format_missing(one: "Missing") -> str:
    """Formats a missing certificate as a line to be read."""
    return (
        f"user {one.user_id} course {one.course_id} version {one.course_version}: no certificate for completion "
        f"{one.completion_number} of {one.completed_at:%Y-%m-%dT%H:%M:%SZ}: {escape(one.reason)}"
    )


def format_unfounded(one: "Unfounded") -> str:
    """Formats a certificate without a completion as a line to be read."""
    return (
        f"user {one.user_id} course {one.course_id} version {one.course_version}: certificate {one.code} is valid, and "
        f"completion {one.completion_number} was never announced"
    )
