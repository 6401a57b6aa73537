"""Defines what the topic `learners` says: how to address a learner.

The topic is compacted by user: a reader gets the latest description of each learner.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from events.json_types import NO_LINE_BREAK, Id
from events.models import ContractEvent

# No character that breaks a line, or turns the direction of what follows.
FORBIDDEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
# Blanks, punctuation and signs, among them Hangul's fillers, which are nothing to be seen. They are listed, because not
# every validator of JSON Schema knows Unicode's categories.
NO_LETTER = (
    r" -/:-@\[-`{-~\u00a0-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u115f\u1160\u1680\u180e"
    r"\u2000-\u206f\u20a0-\u20ff\u2190-\u245f\u2500-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\uffff"
    "\ue000-\uf8ff\u0300-\u036f\U0001f000-\U0001faff\U000e0000-\U000e0fff"  # as characters: `\U` is Python's alone
)
NAME_PATTERN = rf"^[^{FORBIDDEN}]*[^{FORBIDDEN}{NO_LETTER}][^{FORBIDDEN}]*$"
HAS_LETTER = re.compile(f"[^{NO_LETTER}]")
# Every blank of Unicode, by its number: languages differ in what `\s` is.
BLANK = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"


def _require_letter(text: str) -> str:
    if not HAS_LETTER.search(text):
        raise ValueError("has no letter and no digit")
    return text


Line = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=rf"^[^{FORBIDDEN}]*$",
        json_schema_extra={"pattern": NAME_PATTERN, **NO_LINE_BREAK},
    ),
    AfterValidator(_require_letter),
]
Email = Annotated[str, Field(max_length=254, pattern=rf"^[^@{BLANK}]+@[^@{BLANK}]+$", json_schema_extra=NO_LINE_BREAK)]
Locale = Annotated[
    str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", json_schema_extra=NO_LINE_BREAK)
]
Timezone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$", json_schema_extra=NO_LINE_BREAK)]

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

    user_id: Id
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
