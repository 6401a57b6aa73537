"""Defines what the topic `learners` says: how to address a learner.

The topic is compacted by user: a reader gets the latest description of each learner.
"""

import unicodedata
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field

from events.models import ContractEvent

BLANKS = "\u115f\u1160\u3164\uffa0"  # letters by their category, and nothing to be seen


def _require_letter(text: str) -> str:
    if not any(unicodedata.category(character)[0] in "LN" and character not in BLANKS for character in text):
        raise ValueError("has no letter and no digit")
    return text


# No character that breaks a line, or turns the direction of what follows.
Line = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"),
    AfterValidator(_require_letter),
]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]
Locale = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
Timezone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]

# Strict: "yes" and 1 are signs of a broken producer, not of an agreement.
Agreed = Annotated[bool, Field(strict=True)]


class AboutAPerson(ContractEvent):
    """Keeps what it holds out of the texts of errors, which get into logs."""

    model_config = ConfigDict(hide_input_in_errors=True)


class MailConsent(AboutAPerson):
    """Says to which kinds of mail the learner has agreed."""

    milestones: Agreed = False
    reminders: Agreed = False


class LearnerDescribed(AboutAPerson):
    """Says how to address a learner. It replaces what was said before: what it leaves out is not known any more."""

    user_id: UUID
    # Neither stands in `repr`, because that gets into logs.
    name: Line | None = Field(None, repr=False, description="As it stands on a certificate")
    email: Email | None = Field(None, repr=False)
    locale: Locale | None = Field(None, description="A language tag, such as pt-BR")
    timezone: Timezone | None = Field(
        None, description="A zone of the IANA database, such as Europe/Berlin: in it the learner's days begin"
    )
    mail: MailConsent = MailConsent()


LearnerEvent = LearnerDescribed
LEARNER_EVENTS: Mapping[str, type[LearnerEvent]] = {"LearnerDescribed": LearnerDescribed}
