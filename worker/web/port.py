"""Serves a process's own port, which is for probes."""

import socket
from functools import partial

import faust
from faust.contrib.asgi import AsgiService, serve_asgi
from starlette.applications import Starlette

from worker.errors import SetupError
from worker.settings import Settings
from worker.web.connection import Connection, Port

MOST_CONNECTIONS = 256
STOP_WITHIN_S = 5


def serve_health(app: faust.App, health: Starlette, settings: Settings) -> type[AsgiService]:
    """Has the app serve this while it runs, with the same limits on connections as the API's."""
    return serve_asgi(
        app,
        health,
        host=settings.http_host,
        port=settings.http_port,
        access_log=False,
        http=partial(Connection, Port(MOST_CONNECTIONS)),
        ws="none",
        backlog=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )


def require_free_port(settings: Settings) -> None:
    """Raises SetupError before this process joins a group, so that it disturbs no other for nothing."""
    try:
        socket.create_server((settings.http_host, settings.http_port)).close()
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        raise SetupError(f"cannot listen on {where} ({error.strerror}): set PROGRESS_HTTP_PORT, 0 is any") from error
