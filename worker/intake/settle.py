"""With which line a worker stops that can neither apply a batch nor go on without it."""

import structlog

from worker.errors import Bug, ProgressError, SetupError, ValueRefused
from worker.stream.batch import Batch

log = structlog.get_logger("intake")


def stopping(error: Exception, batch: Batch) -> ProgressError:
    """What to raise: why, which offsets, what to do. Logs the traceback of what nobody foresaw."""
    where = f"while applying {batch.where}: nothing of it was applied"
    if isinstance(error, SetupError):
        return SetupError(f"{error} ({where})")
    if isinstance(error, ValueRefused):
        return SetupError(
            f"the database refuses what no event has caused: {error}. Compare its constraints and triggers with sql/ "
            f"({where})"
        )
    log.error("a batch cannot be applied", exc_info=error)
    return Bug(
        f"{type(error).__name__}: {error} ({where}). This is a bug in the worker: report it with the traceback above. "
        "A restart repeats the batch"
    )
