"""Defines the command `effects`: runs the process that does what follows from events."""

import sys

import click

from worker.cli.options import WithExamples


@click.command(
    cls=WithExamples,
    short_help="Runs one process that issues certificates.",
    epilog="PROGRESS_PUBLIC_URL=https://learn.example PROGRESS_CERTIFICATE_KEY_FILES=key.pem course-progress effects\n"
    "PROGRESS_HTTP_PORT=8081 course-progress effects    # beside a worker on the same machine",
)
def effects() -> None:
    """Runs one process that does what follows from completions: it issues and revokes certificates.

    Any number of them may run. It needs the extra `certificates`, and a key (`course-progress certificates key FILE`).
    """
    from worker.cli.worker import run_effects
    from worker.effects.settings import EffectsSettings
    from worker.settings import read_settings

    sys.exit(run_effects(read_settings(EffectsSettings)))
