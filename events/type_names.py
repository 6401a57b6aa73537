"""Finds which known type, in which version, a type or a dataschema names.

CloudEvents advises a domain before the name of a type, and a version behind it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

MAJOR_VERSION = 1
LONGEST_NAME = 3  # words: `lesson.waiver.withdrawn`
SEPARATORS = r"[.:/#$]"
VERSION = r"(?:[.:/_-]?[vV](?P<v>[0-9]{1,3})(?:[._][0-9]{1,3})*|[.:/_-](?P<n>[0-9]{1,3})(?:\.[0-9]{1,3})+)"
TYPE = re.compile(rf"(?:[\w-]+(?:://|::|{SEPARATORS}))*(?P<name>[A-Za-z]+?){VERSION}?", re.ASCII)
AT_END = re.compile(rf"(?:{VERSION}|[.:/_-][0-9]+)\Z")
# Only these two speak of a version: not a port, a year, or a counter of a schema registry.
OWN_URN = re.compile(r"(?i:urn:course-progress):([A-Za-z]+):([0-9]{1,3})(?:\.[0-9]+)*\Z")
NAME_AND_VERSION = re.compile(r"(?:^|[/:.#])([A-Za-z]+)/[vV]([0-9]{1,3})(?:\.[0-9]+)*(?:\.[a-z.]+)?(?=[/?#]|\Z)")
LONGEST_DATASCHEMA = 200  # some are remembered; what is longer speaks of no version
AROUND = " \t\r\n\v\f\u00a0\ufeff\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d"


class NamedType(NamedTuple):
    """Says which known type is named, in which major version, and whether it is spelt so."""

    name: str
    major: int
    exact: bool


@lru_cache(maxsize=256)  # producers send the same few types millions of times
def find_type(text: str, known: tuple[str, ...]) -> NamedType | None:
    """Finds the known type that a text names, or differs from only in case, blanks, quotes or separators; else None.

    Without a version the text names this contract's major version.
    """
    read = TYPE.fullmatch(text)
    if read and read["name"] in known:
        return NamedType(read["name"], int(read["v"] or read["n"] or MAJOR_VERSION), exact=True)
    spellings = set(_squeeze_ends(text.strip(AROUND)))
    return next((NamedType(name, MAJOR_VERSION, exact=False) for name in known if name.lower() in spellings), None)


def _squeeze_ends(text: str) -> Iterable[str]:
    """Yields the last words of the text in small letters alone: with a version behind them, and without."""
    for shorter in {text, AT_END.sub("", text)}:
        words = re.split(SEPARATORS, shorter)
        for count in range(1, LONGEST_NAME + 1):
            yield "".join(filter(str.isalnum, "".join(words[-count:]).casefold()))


@lru_cache(maxsize=256)
def find_other_versions(dataschema: str) -> frozenset[str]:
    """Returns the types of which a schema clearly is another major version than this contract's."""
    text = dataschema.strip('"')
    own = OWN_URN.match(text)
    named = [own] if own else NAME_AND_VERSION.finditer(text)
    return frozenset(match[1] for match in named if int(match[2]) != MAJOR_VERSION)
