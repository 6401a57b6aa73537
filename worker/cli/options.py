"""What every command of the command line shares: examples in its help, and how a time is given."""

from datetime import datetime
from typing import Any

import click

from events.models import EARLIEST


class WithExamples(click.Command):
    """The epilog is examples, which stay as they are written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write("\nExample:\n" + "".join(f"  {line}\n" for line in self.epilog.splitlines()))


class Group(WithExamples, click.Group):
    command_class = WithExamples
    group_class = type


class Moment(click.ParamType):
    """A date and time that says its offset from UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date and time such as 2026-11-23T09:30:00Z", param, ctx)
        if moment.utcoffset() is None:
            self.fail(f"{value!r} has no offset from UTC: write {value}Z or {value}+01:00", param, ctx)
        if moment < EARLIEST:
            self.fail(f"{value!r} is before 2000: no worker would apply it", param, ctx)
        return moment
