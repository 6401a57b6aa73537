"""Collects the routes under /api."""

from fastapi import APIRouter, Depends

from worker.web.api import (
    achievements,
    administration,
    catalog,
    certificates,
    completions,
    courses,
    explain,
    learners,
    operations,
    progress,
    stream,
    waivers,
)
from worker.web.auth import caller


def api_router(*, readers: bool = True) -> APIRouter:
    """Returns the routes under /api, none of which is reached without a token."""
    router = APIRouter(dependencies=[Depends(caller)])
    of_learners = (completions.batches, completions.router, progress.router, stream.router, progress.by_course)
    own = (explain.router, achievements.router, certificates.reads, certificates.writes)
    courses_of_owners = (courses.router, catalog.reads, catalog.writes, catalog.deletes, waivers.router)
    certified = (administration.reads, administration.bodies, administration.writes)
    of_operators = (learners.router, operations.reads, operations.writes, *certified)
    others = (*own, *courses_of_owners, *of_operators) if readers else ()
    for part in (*of_learners, *others):
        router.include_router(part)
    return router
