"""Gives every command examples in its help, and reads the times that options take."""

from datetime import datetime
from typing import Any

import click

from events.models import EARLIEST


class WithExamples(click.Command):
    """Prints the epilog of a command in its help as examples, line by line as they are written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write("\nExample:\n" + "".join(f"  {line}\n" for line in self.epilog.splitlines()))


class Group(WithExamples, click.Group):
    """Gives all its commands and groups examples, too."""

    command_class = WithExamples
    group_class = type


class Moment(click.ParamType):
    """Reads a date and time that has an offset from UTC; an event before EARLIEST would never be applied."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date and time such as 2026-11-23T09:30:00Z", param, ctx)
        if moment.utcoffset() is None:
            self.fail(f"{value!r} has no offset from UTC: write {value}Z or {value}+01:00", param, ctx)
        if moment < EARLIEST:
            self.fail(f"{value!r} is before 2000: no worker would apply it", param, ctx)
        return moment
