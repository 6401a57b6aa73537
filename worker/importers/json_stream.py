"""Reads the values of any JSON text one after the other, in bounded memory, each with the number of its line.

A text is values one per line or one after the other, an array of them, or an object with the array `statements`. The
standard library decodes each value; this module finds where the next one begins.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

CHUNK = 1 << 18  # characters read at once
LONGEST = 4 << 20  # characters of one value
LISTS = ("statements", "edges")  # members of an object that hold what is read
SPACE = re.compile("[ \t\n\r\x1e\ufeff\x00\x0c]*")
MEMBER = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*')
HEAD = 4096  # characters: more than the name of a member has
MARGIN = 256  # characters kept before the place, to tell in which column it is
DEEPEST = 8  # arrays around a value
CUT_SHORT = 16  # characters: an error so near to the end may be that of a value whose rest is not read yet
DECODE = json.JSONDecoder().raw_decode


class _Broken(ValueError):
    """Says why a value cannot be decoded."""


class _TooLong(_Broken):
    """The value has more than LONGEST characters."""


class Text(Protocol):
    """Holds a text: each call takes up to `count` characters; an empty text is the end."""

    def read(self, count: int, /) -> str: ...


@dataclass(slots=True)
class _Open:
    """Marks an array or an object that has begun and not ended. `listed`: it held one of LISTS."""

    bracket: str
    line: int
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """Says why there is no value at this line. What follows it is read as far as possible."""

    line: int
    reason: str


@dataclass
class JsonStream:
    """Iterates over the values of a text: pairs of line and value, and Broken. `more`: it is one page of several."""

    text: Text
    more: bool = False
    _buffer: str = ""
    _at: int = 0
    _line: int = 1
    _ended: bool = False
    _taken: int = 0  # characters of the value that was decoded last
    _open: list[_Open] = field(default_factory=list)
    _columns: set[int] = field(default_factory=lambda: {0})

    def __iter__(self) -> Iterator[tuple[int, Any] | Broken]:
        while character := self._next():
            line = self._line
            try:
                found = self._step(character)
            except _Broken as error:
                rest = self._recover()
                yield Broken(line, f"no JSON: {error}{rest}")
                continue
            if found is not None:
                yield line, found[0]
        if self._open:
            yield Broken(
                self._line,
                f"the text ends before the {self._open[0].bracket} of line {self._open[0].line} does: is it cut off?",
            )

    def _step(self, character: str) -> tuple[Any] | None:
        """Takes what stands here. Returns a value in a tuple, or None for what only surrounds values."""
        inside = self._open[-1].bracket if self._open else ""
        if character == "[":
            self._enter("[")
        elif character == "," and inside:
            self._move(1)
        elif character == "]" and inside == "[":
            self._leave()
        elif inside == "{":
            self._take_member(character)
        else:
            return self._take_value()
        return None

    def _take_value(self) -> tuple[Any] | None:
        line = self._line
        self._note_column()
        try:
            value = self._decode()
        except _TooLong:
            if self._buffer[self._at] != "{":
                raise
            self._enter("{")
            return None
        if isinstance(value, dict) and "verb" not in value and any(isinstance(value.get(name), list) for name in LISTS):
            self._at, self._line = self._at - self._taken, line  # so that each of them has its line
            self._enter("{")
            return None
        return (value,)

    def _take_member(self, character: str) -> None:
        """Takes a member of an object, and enters its value if that is a list of what is read."""
        if character == "}":
            found = self._open[-1].listed
            self._leave()
            if not found:
                raise _TooLong(f"more than {LONGEST:,} characters")
            return
        self._need(HEAD)
        member = MEMBER.match(self._buffer, self._at)
        if member is None:
            raise _Broken("a member of an object is expected")
        self._move(member.end() - self._at)
        if member[1] in LISTS and self._next() == "[":
            self._open[-1].listed = True
            self._enter("[")
            return
        value = self._decode()
        self.more |= member[1] == "more" and bool(value)
        self.more |= member[1] == "pageInfo" and isinstance(value, dict) and value.get("hasNextPage") is True

    def _decode(self) -> Any:
        """Decodes the value that begins here, and moves behind it. Raises _Broken."""
        while True:
            try:
                value, end = DECODE(self._buffer, self._at)
                if end < len(self._buffer) or self._ended or isinstance(value, (dict, list, str)):
                    self._taken = end - self._at
                    self._move(self._taken)
                    return value
            except json.JSONDecodeError as error:
                cut_short = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - CUT_SHORT
                if self._ended or not cut_short:
                    raise _Broken(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise _Broken("nested too deeply" if isinstance(error, RecursionError) else str(error)) from None
            if len(self._buffer) - self._at > LONGEST:
                raise _TooLong(f"more than {LONGEST:,} characters")
            self._fill()

    def _enter(self, bracket: str) -> None:
        self._open.append(_Open(bracket, self._line))
        if len(self._open) > DEEPEST:
            raise _Broken("nested too deeply")
        self._move(1)

    def _leave(self) -> None:
        self._open.pop()
        self._move(1)

    def _next(self) -> str:
        """Returns the next character that is no space, without taking it; an empty text at the end."""
        while True:
            space = SPACE.match(self._buffer, self._at)
            self._move(space.end() - self._at if space else 0)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return ""

    def _move(self, count: int) -> None:
        self._line += self._buffer.count("\n", self._at, self._at + count)
        self._at += count

    def _need(self, count: int) -> None:
        while len(self._buffer) - self._at < count and self._fill():
            pass

    def _fill(self) -> bool:
        chunk = "" if self._ended else self.text.read(CHUNK)
        self._ended = not chunk
        kept = max(0, self._at - MARGIN)
        self._buffer, self._at = self._buffer[kept:] + chunk, self._at - kept
        return bool(chunk)

    def _note_column(self) -> None:
        """Remembers in which columns values begin that stand at the beginning of a line."""
        before = self._buffer.rfind("\n", 0, self._at)
        if before >= 0 and self._buffer[before + 1 : self._at].isspace():
            self._columns.add(self._at - before - 1)

    def _recover(self) -> str:
        """Moves to where the next value probably begins. Returns what is to be said of the rest, if it is lost."""
        if self._open and self._open[-1].bracket == "{":
            self._open.pop()
        while self._skip_line():
            if not self._open:
                return ""
            character = self._next()
            before = self._buffer.rfind("\n", 0, self._at)
            if character == "{" and self._at - before - 1 in self._columns:
                return ""
            if not character:
                break
        self._open.clear()
        return "; the rest of the text is not read"

    def _skip_line(self) -> bool:
        """Moves to the beginning of the next line. Returns whether there is one."""
        while (end := self._buffer.find("\n", self._at)) < 0:
            self._move(len(self._buffer) - self._at)
            if not self._fill():
                return False
        self._move(end - self._at)
        return True
