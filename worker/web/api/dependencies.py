"""Whose progress a call is about, and the service that has it.

Dependencies are coroutines: FastAPI would run a plain function in a thread, at half a millisecond each.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from worker.learners.service import ProgressService
from worker.web.auth import CallerDep, Scope


async def service(request: Request) -> ProgressService:
    found: ProgressService = request.app.state.service
    return found


async def learner(
    caller: CallerDep,
    user_id: Annotated[
        UUID | None, Query(alias="userId", description="Somebody else: needs the scope progress:read:any")
    ] = None,
) -> UUID:
    """The learner whose progress is read."""
    if user_id is not None and user_id != caller.user_id:
        caller.require(Scope.READ_ANY)
    return user_id or caller.user_id


ServiceDep = Annotated[ProgressService, Depends(service)]
LearnerDep = Annotated[UUID, Depends(learner)]
