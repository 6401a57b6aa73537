"""Everything under /api."""

from fastapi import APIRouter, Depends

from worker.web.api import completions as writes
from worker.web.api import courses as analytics
from worker.web.api import operations as ops
from worker.web.api import progress as reads
from worker.web.api import stream
from worker.web.auth import caller


def api_router(*, readers: bool = True) -> APIRouter:
    """Everything under /api: nothing in it is reached without a token."""
    router = APIRouter(dependencies=[Depends(caller)])
    learners = (writes.batches, writes.router, reads.router, stream.router, reads.one)
    others = (analytics.router, ops.reads, ops.writes) if readers else ()
    for part in (*learners, *others):
        router.include_router(part)
    return router
