"""Defines the command `certificates preview`: shows what certificates will look like."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.errors import SetupError

PUBLIC_URL = "https://learn.example"
CODE = "mfrggzdfmztwq2lkobqwg23bni"


@click.command(
    cls=WithExamples,
    short_help="Writes a sample certificate to FILE, a PDF or a PNG.",
    epilog="course-progress certificates preview certificate.pdf\n"
    "course-progress certificates preview --template ./mine --name 'Ada Lovelace' certificate.png",
)
@click.option(
    "--template",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A directory with certificate.typ, instead of PROGRESS_CERTIFICATE_TEMPLATE.",
)
@click.option("--name", default="Ada Lovelace", show_default=True, help="The learner's name.")
@click.option("--title", default="Event Streaming with Kafka", show_default=True, help="The course's title.")
@click.option(
    "--width", type=click.IntRange(200, 8000), default=1600, show_default=True, help="How many pixels wide a PNG is."
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def preview(template: Path | None, name: str, title: str, width: int, file: Path) -> None:
    """Writes a sample certificate to FILE, a PDF or a PNG by its name: with the settings of this environment.

    It needs neither Kafka nor a database, and the sample has no credential.
    """
    form = file.suffix.lower()
    if form not in (".pdf", ".png"):
        raise click.UsageError(f"{file} must end in .pdf or .png")
    if not (name.strip() and title.strip()):
        raise click.UsageError("--name and --title must not be empty")
    content = asyncio.run(_render(template, name, title, width if form == ".png" else None))
    try:
        file.write_bytes(content)
    except OSError as error:
        raise SetupError(f"{file} cannot be written: {error.strerror}") from error
    say(f"wrote {file}")


async def _render(template: Path | None, name: str, title: str, width: int | None) -> bytes:
    from worker.certificates.certificate import Certificate
    from worker.certificates.rendering import Renderer
    from worker.certificates.settings import CertificateSettings
    from worker.settings import read_settings

    settings = read_settings(CertificateSettings)
    changes = {
        "public_url": settings.public_url or PUBLIC_URL,
        "certificate_template": template or settings.certificate_template,
    }
    renderer = Renderer(settings.model_copy(update=changes))
    day = date(2026, 11, 30)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    sample = Certificate(CODE, UUID(int=1), UUID(int=2), 1, 1, name, title, day, noon, noon)
    return await (renderer.render(sample, None) if width is None else renderer.draw(sample, width))
