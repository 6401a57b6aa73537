"""Defines the command `certificates key`. It imports its libraries only when it runs."""

from pathlib import Path

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.plain_text import escape


@click.command(
    cls=WithExamples,
    short_help="Creates a key that signs certificates.",
    epilog="course-progress certificates key /etc/course-progress/key.pem",
)
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Creates a key that signs certificates, in a new FILE that only its owner may read.

    Prints its public key, which anybody may know. Keep a copy of FILE in a safe place, and nowhere else.
    """
    from worker.certificates.keys import create_key

    public_key = create_key(file)
    say(f"created {escape(str(file))}: set PROGRESS_CERTIFICATE_KEY_FILES to it for course-progress effects")
    say(f"public key: {public_key}")
