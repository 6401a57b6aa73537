"""Runs one API process until it is told to stop."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop

from worker.api.app import create_api
from worker.api.auth import keys_of
from worker.api.changes import Changes
from worker.errors import SetupError
from worker.logs import configure
from worker.service import ProgressService
from worker.settings import ApiSettings

log = structlog.get_logger("api")

PUBLISH_WITHIN_S = 5
STOP_WITHIN_S = 15


class Server(uvicorn.Server):
    """Ends the streams when it is told to stop, and then ends as somebody who did what was asked: with status 0."""

    def __init__(self, config: uvicorn.Config, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._changes.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again after the end.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(settings: ApiSettings) -> None:
    """Returns after SIGTERM or SIGINT. Raises SetupError."""
    configure(settings)
    uvloop.run(_serve(settings))


async def _serve(settings: ApiSettings) -> None:
    keys = keys_of(settings)
    listening = listen(settings)
    async with ProgressService(settings, publish_timeout_s=PUBLISH_WITHIN_S) as service:
        app = create_api(settings, keys, service)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        host, port = listening.getsockname()[:2]
        log.info("listening", address=f"http://{host}:{port}")
        await Server(config, app.state.changes).serve([listening])


def listen(settings: ApiSettings) -> socket.socket:
    """Raises SetupError."""
    where = (settings.api_host, settings.api_port)
    try:
        listening = socket.create_server(where)
    except OSError as error:
        raise SetupError(
            f"{where[0]}:{where[1]} cannot be listened on ({error.strerror}): set PROGRESS_API_PORT, 0 is any"
        ) from error
    # asyncio sets it only on sockets that name their protocol; without it an answer may wait 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
