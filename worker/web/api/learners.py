"""Takes descriptions of learners, which certificates and mail need, from whoever knows the learners.

No answer and no line of the log repeats a name or an address.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from events.learners import Agreed, Email, LearnerDescribed, Line, Locale, MailConsent, Timezone
from worker.learners.descriptions import NOT_A_ZONE, is_zone
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.responses import json_response
from worker.web.api.schemas import CamelModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.readers import ReadersDep

router = APIRouter(prefix="/api/learners", tags=["learners"], route_class=guarded_route("writes", scope=Scope.LEARNERS))


def _require_zone(name: str) -> str:
    if not is_zone(name):
        raise PydanticCustomError("unknown_zone", NOT_A_ZONE)
    return name


class MailBody(ClosedModel):
    """Says to which kinds of mail the learner has agreed."""

    milestones: Agreed = False
    reminders: Agreed = False


class DescriptionBody(ClosedModel):
    """Says how to address a learner; what it leaves out is not known any more."""

    model_config = with_examples(
        {
            "name": "Ada Lovelace",
            "email": "ada@mail.example",
            "locale": "en-GB",
            "timezone": "Europe/London",
            "mail": {"milestones": True, "reminders": False},
        }
    )

    name: Line | None = None
    email: Email | None = None
    locale: Locale | None = None
    timezone: Annotated[Timezone, AfterValidator(_require_zone)] | None = None
    mail: MailBody = MailBody()


class DescriptionAnswer(CamelModel):
    """Says that Kafka has stored the description durably; what needs it reads it from there."""

    model_config = with_examples({"eventId": "b0a6a3c6-4a63-4dbb-9f5e-0d3c7c1a2f10"})

    event_id: str


@router.put("/{userId}", response_model=DescriptionAnswer, status_code=202)
async def describe(
    body: DescriptionBody, caller: CallerDep, readers: ReadersDep, user_id: Annotated[UUID, Path(alias="userId")]
) -> Response:
    """Says how to address a learner: the name on certificates, where mail goes, and in which time zone days begin. It
    replaces what was said before."""
    caller.require(Scope.LEARNERS)
    said = body.model_dump(exclude={"mail"})
    event = LearnerDescribed(user_id=user_id, **said, mail=MailConsent(**body.mail.model_dump()))
    return json_response(DescriptionAnswer(event_id=await readers.descriptions.publish(event)), 202)
