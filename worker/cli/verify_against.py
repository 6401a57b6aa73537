"""Compares progress with another system's table, for `course-progress verify --against`."""

import re
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from worker.cli.output import say
from worker.plain_text import escape, to_json
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.exports.comparison import Difference, Standing

MOST_SHOWN = 20  # differences of a kind, for people
MOST_NAMED = 20  # malformed lines
TOLERANCE = re.compile(r"([0-9]{1,6})(s|m|h|d)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Key = tuple[UUID, UUID]


class Duration(click.ParamType):
    """Reads how long something may take: 30s, 5m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = value if isinstance(value, timedelta) else TOLERANCE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not a duration such as 30s, 5m, 2h or 1d", param, ctx)
        return found if isinstance(found, timedelta) else timedelta(**{UNITS[found[2]]: int(found[1])})


class Table:
    """Holds the other system's table in memory, some 400 bytes a line, and what was wrong with it."""

    def __init__(self) -> None:
        self.standings: dict[Key, Standing] = {}
        self.skipped: Counter[str] = Counter()
        self.malformed = 0

    def read(self, path: str, columns: tuple[str, ...], users: Path | None, site: str | None) -> None:
        """Reads the file. Raises ProgressError, or UsageError for columns."""
        from worker.cli.importing import parse_pairs
        from worker.exports.comparison import Standing
        from worker.importers.identity import Identities, read_users
        from worker.importers.overview import NEEDED, SAID, read_overview
        from worker.importers.records import Malformed, Skipped

        pairs = tuple(pair for text in columns for pair in text.split(","))
        renamed = {theirs.lower(): ours for theirs, ours in parse_pairs("--columns", pairs, (*NEEDED, *SAID)).items()}
        for line in read_overview(path, renamed, Identities(read_users(users) if users else None), site):
            if isinstance(line, Malformed):
                self._note(f"line {line.line:,}: {line.reason}")
            elif isinstance(line, Skipped):
                self.skipped[line.reason] += 1
            elif (key := (line.user_id, line.course_id)) in self.standings:
                self._note(f"user {key[0]} course {key[1]}: there twice; the first counts")
            else:
                self.standings[key] = Standing(line.lessons, line.percentage, line.completed_at, line.dated)

    def _note(self, problem: str) -> None:
        self.malformed += 1
        if self.malformed <= MOST_NAMED:
            say(escape(problem), err=True)


async def compare_with(
    settings: Settings, table: Table, course_id: UUID | None, tolerance: timedelta, *, as_json: bool
) -> int:
    """Prints in what the rows differ from the table; returns how many differ. Raises DatabaseUnavailable."""
    from worker.exports.comparison import KINDS, Standing, compare
    from worker.exports.export import open_snapshot, read_progress

    left, counted, shown = dict(table.standings), Counter[str](), defaultdict[str, list[str]](list)
    equal = 0

    def note(key: Key, here: "Standing | None", there: "Standing | None") -> bool:
        found = compare(here, there, tolerance)
        if found is None:
            return False
        counted[found.kind] += 1
        if as_json:
            say(format_json(key, found))
        elif len(shown[found.kind]) < MOST_SHOWN:
            shown[found.kind].append(format_line(key, found))
        return True

    async with open_snapshot(settings) as snapshot:
        async for row in read_progress(snapshot, course_id=course_id):
            key = (row["user"], row["course"])
            here = Standing(row["lessons_completed"], row["progress_percentage"], row["completed_at"])
            equal += not note(key, here, left.pop(key, None))
    for key, there in left.items():
        if course_id in (None, key[1]):
            equal += not note(key, None, there)
    for kind in KINDS if not as_json else ():
        if counted[kind]:
            more = counted[kind] - len(shown[kind])
            rest = [f"  and {more:,} more: --json has all"] if more else []
            say("\n".join([f"{kind}: {counted[kind]:,}", *shown[kind], *rest]))
    for reason, number in table.skipped.items():
        say(f"{number:,} lines skipped: {reason}", err=True)
    if table.malformed:
        say(f"{table.malformed:,} lines malformed", err=True)
    say(f"{equal:,} agree, {counted.total():,} differ", err=True)
    return counted.total()


def format_line(key: Key, difference: "Difference") -> str:
    here, there = describe(difference.here), describe(difference.there)
    return f"  user {key[0]} course {key[1]}: here {here}; there {there}"


def describe(standing: "Standing | None") -> str:
    """Describes how far a learner is, by what the system says."""
    if standing is None:
        return "nothing"
    parts = [f"{standing.lessons} lessons"] if standing.lessons is not None else []
    parts += [f"{standing.percentage:g} %"] if standing.percentage is not None else []
    parts += [f"completed {standing.completed_at.isoformat()}"] if standing.completed_at else []
    return ", ".join(parts) or "not complete"


def format_json(key: Key, difference: "Difference") -> str:
    """Formats a difference as a JSON object on one line."""
    sides = {
        name: side and {"lessons": side.lessons, "percentage": side.percentage, "completed_at": side.completed_at}
        for name, side in (("here", difference.here), ("there", difference.there))
    }
    return to_json({"kind": difference.kind, "user_id": key[0], "course_id": key[1], **sides})
