"""Reads the headers of a record: which attributes of CloudEvents they hold, however producers spell and repeat them."""

import re
from collections.abc import Sequence

from events.kinds import MalformedEvent
from events.wrapping import unwrap_text

Headers = Sequence[tuple[str, bytes]]

CONTENT_TYPE = "content-type"
# Only these headers of a record are read. Others, such as a tracer's binary ones, are ignored.
ATTRIBUTES = {f"ce_{name}": name for name in ("id", "type", "source", "time", "specversion", "dataschema", "cause")}
READ_HEADERS = {**ATTRIBUTES, CONTENT_TYPE: CONTENT_TYPE}
# Other spellings of these names: those of CloudEvents over HTTP and AMQP, in any case.
OTHER_NAME = re.compile(rf"(?:ce|cloudevents)[-_:.]({'|'.join(ATTRIBUTES.values())})|({CONTENT_TYPE})", re.IGNORECASE)
# Two values of these say nothing about the event: the one that is spelt as here counts, else the first.
OF_THE_DATA = {CONTENT_TYPE, "dataschema"}
LONGEST_NAME = 40  # characters of a header's name that is looked at


def unwrap_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Takes quotes and other wrappings off the values of headers, and leaves out a `dataschema` that cannot be read."""
    unwrapped = []
    for name, raw in headers:
        try:
            unwrapped.append((name, unwrap_text(raw.decode()).encode()))
        except (AttributeError, UnicodeDecodeError):  # no value, or no text
            if _find_attribute(name) != "dataschema":
                unwrapped.append((name, raw))
    return unwrapped


def read_headers(headers: Headers) -> dict[str, str]:
    """Returns attributes by name, and the content type. Raises MalformedEvent. A header may be repeated as it is."""
    found: dict[str, str] = {}
    for name, raw in headers:
        attribute = READ_HEADERS.get(name)
        if attribute is None and (name[:1] not in "cC" or (attribute := _find_attribute(name)) is None):
            continue
        if raw is None:
            raise MalformedEvent(name, "the header has no value")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise MalformedEvent(name, "the header is not UTF-8") from None
        if found.get(attribute, text) != text:
            if attribute not in OF_THE_DATA:
                raise MalformedEvent(name, "the header appears twice, with different values")
            if name not in READ_HEADERS:
                continue
        found[attribute] = text
    return found


def _find_attribute(name: str) -> str | None:
    """Returns the attribute that a header of this name has, however it is spelt."""
    match = OTHER_NAME.fullmatch(name) if len(name) <= LONGEST_NAME else None
    return match and (match[1] or match[2]).lower()
