"""Defines the commands of `course-progress certificates`."""

import click

from worker.cli.certificate_preview import preview
from worker.cli.options import Group


@click.group(
    cls=Group,
    short_help="Says what becomes of certificates: preview.",
    epilog="course-progress certificates preview certificate.pdf",
)
def certificates() -> None:
    """Says what becomes of certificates (docs/certificates.md)."""


certificates.add_command(preview)
