"""Names the reasons why a record can never be applied: a dead letter's header, a metric's label, a filter."""

from enum import StrEnum

from pydantic import ValidationError

REASON_LENGTH = 300
NOT_AN_OBJECT = {"json_invalid", "model_type"}  # types of pydantic's errors


class Kind(StrEnum):
    """Names the kind of a dead letter; its reason says more. The set is closed: a producer cannot add one."""

    NOT_JSON = "not-json"  # the value, or the data in it, is not a JSON object
    ENVELOPE = "envelope"  # CloudEvents attributes: missing, empty, twice, not text, or of a format that is not read
    TYPE = "type"  # differs from a type that is known only in case, blanks, quotes or separators
    VERSION = "version"  # this contract does not know this version of CloudEvents, or of the event
    TIME = "time"  # not RFC 3339 with an offset, before 2000, or in the future where the record has no timestamp
    SCHEMA = "schema"  # the event's model does not allow the data
    UNREADABLE_HEADER = "unreadable-header"  # a header's name is not UTF-8
    TOO_LARGE = "too-large"  # more than 2 MiB, or in a batch of more than 64 MiB, inflated; it was not decoded
    REFUSED = "refused"  # the event is valid, and the database refuses one of its values
    UNKNOWN = "unknown"  # written before there were kinds, or by a newer worker

    @classmethod
    def _missing_(cls, value: object) -> "Kind":
        return cls.UNKNOWN


class MalformedEvent(ValueError):
    """Says that a record is not an event of this contract: `where`, and `what`. The text has one line, without data."""

    def __init__(self, *text: str, kind: Kind = Kind.ENVELOPE) -> None:
        super().__init__(*text)
        self.kind = kind

    def __str__(self) -> str:
        return ": ".join(self.args)


def explain_validation(error: ValidationError) -> MalformedEvent:
    """Says in one line what a model refuses."""
    # Without the input, because it may be personal data, and a megabyte long.
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"{'.'.join(map(str, problem['loc'])) or 'data'}: {problem['msg']}" for problem in problems)
    kind = Kind.NOT_JSON if problems[0]["type"] in NOT_AN_OBJECT else Kind.SCHEMA
    return MalformedEvent("; ".join(lines)[:REASON_LENGTH], kind=kind)
