"""Defines the commands `badges`: which there are, who has them, and what a new file would award."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import asyncpg
import click

from worker.achievements.settings import AchievementSettings
from worker.cli.options import Group
from worker.cli.output import say
from worker.plain_text import escape, to_json
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.achievements.rules import Badge

T = TypeVar("T")
FILE = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group(
    cls=Group,
    short_help="Lists badges, shows a learner's, and checks a file of them.",
    epilog="course-progress badges list\ncourse-progress badges check badges.toml",
)
def badges() -> None:
    """Lists badges, shows a learner's, and checks a file that declares them (docs/badges.md)."""


def with_database(run: Callable[[asyncpg.Connection, AchievementSettings], Awaitable[T]]) -> T:
    """Calls `run` with a connection. Raises DatabaseUnavailable, SetupError, and what it raises."""
    from worker.postgres.connection import close, connect
    from worker.postgres.failures import translate_errors

    async def connected() -> T:
        settings = read_settings(AchievementSettings)
        connection = await connect(settings)
        try:
            with translate_errors(connection):
                return await run(connection, settings)
        finally:
            await close(connection)

    return asyncio.run(connected())


def format_rule(badge: "Badge") -> str:
    """Formats when a badge is earned, as its file has it."""
    conditions = [
        f"{name} = {value}"
        for condition in badge.when.conditions
        for name, value in condition.model_dump(exclude_none=True, exclude={"all_of"}).items()
    ]
    return " and ".join(conditions) + (", revocable" if badge.revocable else "")


@badges.command(
    "list", short_help="Prints the badges.", epilog="course-progress badges list\ncourse-progress badges list --json"
)
@click.option("--json", "as_json", is_flag=True, help="Print each as one JSON object.")
def list_(as_json: bool) -> None:
    """Prints each badge that is declared, with how many learners have it, and those that are declared no more."""
    from worker.achievements.rules import read_badges

    async def count(connection: asyncpg.Connection, settings: AchievementSettings) -> None:
        from worker.postgres.connection import query

        declared = {badge.id: badge for badge in read_badges(settings.badges_file)}
        rows = await connection.fetch(query("achievements/count_awards"))
        awarded = {row["badge"]: row for row in rows}
        for name in [*declared, *(name for name in awarded if name not in declared)]:
            badge, row = declared.get(name), awarded.get(name)
            title = badge.title if badge else row["title"] if row else ""
            number = row["learners"] if row else 0
            rule = format_rule(badge) if badge else "declared no more"
            if as_json:
                say(to_json({"badge": name, "title": title, "rule": rule, "learners": number}))
            else:
                say(f"{name}: {escape(title)} ({rule}): {number:,} learners")

    with_database(count)


@badges.command(
    short_help="Prints what a learner has earned.",
    epilog="course-progress badges show --user 0190a6e2-0000-7000-8000-000000000001",
)
@click.option("--user", "user_id", type=click.UUID, required=True, help="The learner.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(user_id: UUID, as_json: bool) -> None:
    """Prints a learner's streak and badges, with the day that made each up, and how far the next ones are."""
    from worker.achievements.award import read_facts
    from worker.achievements.reads import Earned, sum_up
    from worker.achievements.rules import read_badges

    async def read(connection: asyncpg.Connection, settings: AchievementSettings) -> Earned:
        declared = read_badges(settings.badges_file)
        return sum_up(await read_facts(connection, user_id, declared, settings), declared)

    earned = with_database(read)
    if as_json:
        badges = [{"badge": a.badge, "earned_on": a.earned_on.isoformat(), "cause": a.cause} for a in earned.awards]
        coming = [{"badge": n.badge.id, **n.measure._asdict(), "reached_on": None} for n in earned.next]
        streak = {"current": earned.streak.current, "longest": earned.streak.longest}
        say(to_json({"user_id": str(user_id), "streak": streak, "badges": badges, "next": coming}))
        return
    say(f"streak: {earned.streak.current} days, at most {earned.streak.longest}")
    for award in earned.awards:
        say(f"{award.badge}: {escape(award.title)}, earned on {award.earned_on}, awarded {award.awarded_at:%Y-%m-%d}")
    for found in earned.next:
        say(f"{found.badge.id}: {found.measure.value} of {found.measure.target} {found.measure.unit}")


@badges.command(
    short_help="Says what a file of badges would award.",
    epilog="course-progress badges check badges.toml\ncourse-progress badges check badges.toml --json",
)
@FILE
@click.option("--json", "as_json", is_flag=True, help="Print each badge as one JSON object.")
def check(path: Path, as_json: bool) -> None:
    """Reads a file that declares badges, says what is wrong with it, and how many learners each would be awarded to.

    It looks at every learner and changes nothing.
    """
    from worker.achievements.rules import read_badges
    from worker.achievements.trial import Trial, try_badges

    declared = read_badges(path)

    async def attempt(connection: asyncpg.Connection, settings: AchievementSettings) -> dict[str, Trial]:
        return await try_badges(connection, declared, settings, lambda text: say(text, err=True))

    for name, trial in with_database(attempt).items():
        if as_json:
            say(to_json({"badge": name, **trial._asdict()}))
        else:
            say(f"{name}: would be awarded to {trial.awarded:,} learners; {trial.held:,} have it")
