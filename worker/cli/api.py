"""Defines the command `course-progress api`, which imports the server only when it runs."""

import click

from worker.cli.options import WithExamples
from worker.settings import read_settings
from worker.web.settings import ApiSettings


@click.command(
    cls=WithExamples,
    epilog="PROGRESS_JWT_JWKS_URL=https://login.example/jwks.json PROGRESS_JWT_ISSUER=https://login.example \\\n"
    "    PROGRESS_JWT_AUDIENCE=progress course-progress api",
)
def api() -> None:
    """Serves progress over HTTP (docs/api.md). Start more processes to scale; put TLS in front."""
    from worker.web.pages.routes import pages_router
    from worker.web.server import run

    settings = read_settings(ApiSettings)
    run(settings, pages_router() if settings.api_cookie else None)
