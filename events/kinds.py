"""Why a record can never be applied, as one of few words: the dead letter's header, the metric's label, the filter."""

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a dead letter; its reason says more. A closed set: nothing that a producer wrote becomes one."""

    NOT_JSON = "not-json"  # the value, or the data in it, is not a JSON object
    ENVELOPE = "envelope"  # CloudEvents attributes: missing, empty, twice, not text, or of a format that is not read
    VERSION = "version"  # of CloudEvents, or of the event, that this contract does not know
    TIME = "time"  # not RFC 3339 with an offset, or before 2000
    SCHEMA = "schema"  # the data are not what the event's model allows
    UNREADABLE_HEADER = "unreadable-header"  # a header's name is not UTF-8
    REFUSED = "refused"  # a valid event with a value that only the database refuses
    UNKNOWN = "unknown"  # written before there were kinds, or by a newer worker

    @classmethod
    def _missing_(cls, value: object) -> "Kind":
        return cls.UNKNOWN
