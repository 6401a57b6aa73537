"""Prints what commands say. They print by no other function, because strangers wrote much of what they show."""

import click

from worker.plain_text import escape_lines


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints the lines of a text on standard output, or with `err` on standard error, with nothing that steers a
    terminal. What may hold line breaks of a stranger is escaped before."""
    click.echo(escape_lines(text), err=err, nl=nl)
