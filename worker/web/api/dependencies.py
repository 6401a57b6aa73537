"""Provides calls with the learner they are about, and with the service that knows the progress.

Dependencies are coroutines, because FastAPI would run a plain function in a thread, at half a millisecond each.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from worker.courses.outlines import Outlines
from worker.learners.service import ProgressService
from worker.web.auth import CallerDep, Scope


async def service(request: Request) -> ProgressService:
    """Provides the app's service."""
    found: ProgressService = request.app.state.service
    return found


async def outlines(request: Request) -> Outlines:
    """Provides the app's outlines of courses."""
    found: Outlines = request.app.state.outlines
    return found


async def learner(
    caller: CallerDep,
    user_id: Annotated[
        UUID | None, Query(alias="userId", description="Another learner; needs the scope progress:read:any")
    ] = None,
) -> UUID:
    """Returns the learner whose progress is read. Raises a problem, 403, for another one without the scope."""
    if user_id is not None and user_id != caller.user_id:
        caller.require(Scope.READ_ANY)
    return user_id or caller.user_id


ServiceDep = Annotated[ProgressService, Depends(service)]
OutlinesDep = Annotated[Outlines, Depends(outlines)]
LearnerDep = Annotated[UUID, Depends(learner)]
