"""Collects the routes under /api."""

from fastapi import APIRouter, Depends

from worker.web.api import catalog, completions, courses, learners, operations, progress, stream, waivers
from worker.web.auth import caller


def api_router(*, readers: bool = True) -> APIRouter:
    """Returns the routes under /api, none of which is reached without a token."""
    router = APIRouter(dependencies=[Depends(caller)])
    own = (completions.batches, completions.router, progress.router, stream.router, progress.by_course)
    courses_of_owners = (courses.router, catalog.reads, catalog.writes, catalog.deletes, waivers.router)
    others = (*courses_of_owners, learners.router, operations.reads, operations.writes) if readers else ()
    for part in (*own, *others):
        router.include_router(part)
    return router
