"""Runs one API process until a signal stops it."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import structlog
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI

from worker.errors import SetupError
from worker.gc_tuning import collect_rarely
from worker.learners.service import ProgressService
from worker.logs import configure
from worker.postgres.connection import with_time_limit
from worker.settings import Settings
from worker.web.api.progress_poller import ProgressPoller
from worker.web.app import create_api
from worker.web.connection import Connection, Port, choose_most_connections
from worker.web.keys import choose_keys
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

log = structlog.get_logger("api")

PUBLISH_WITHIN_S = 5
READ_WITHIN_S = 5
STOP_WITHIN_S = 15


class Server(uvicorn.Server):
    """Ends the live streams when it stops. After a signal it exits with status 0, because stopping was asked for."""

    def __init__(self, config: uvicorn.Config, poller: ProgressPoller) -> None:
        super().__init__(config)
        self._poller = poller

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._poller.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own method raises the signal again after the end, which would set the exit status.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(settings: ApiSettings, pages: APIRouter | None = None) -> None:
    """Serves until SIGTERM or SIGINT. Pages read the token from the settings' cookie. Raises SetupError."""
    configure(settings)
    uvloop.run(_serve(settings, pages))


async def _serve(settings: ApiSettings, pages: APIRouter | None) -> None:
    keys = choose_keys(settings)
    listening = listen(settings)
    async with (
        build_service(settings) as service,
        Readers(settings) as readers,
    ):
        app = create_api(settings, keys, service, readers=readers, cookie=settings.api_cookie, pages=pages)
        collect_rarely()
        log.info("listening", address=format_address(listening))
        await Server(build_config(app, settings), app.state.poller).serve([listening])


def build_service(settings: Settings) -> ProgressService:
    """Builds the service for people who wait: a silent server counts as away after seconds, not after a minute."""
    return ProgressService(with_time_limit(settings, READ_WITHIN_S), publish_timeout_s=PUBLISH_WITHIN_S)


def build_config(app: FastAPI, settings: ApiSettings) -> uvicorn.Config:
    port = Port(choose_most_connections(settings))
    return uvicorn.Config(
        app,
        http=partial(Connection, port),  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )


def format_address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def listen(settings: ApiSettings) -> socket.socket:
    """Opens the listening socket. Raises SetupError."""
    where = (settings.api_host, settings.api_port)
    try:
        listening = socket.create_server(where)
    except OSError as error:
        raise SetupError(
            f"cannot listen on {where[0]}:{where[1]} ({error.strerror}): set PROGRESS_API_PORT; 0 takes any free port"
        ) from error
    # asyncio sets this only on sockets that name their protocol. Without it an answer may wait 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
