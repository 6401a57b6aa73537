"""Opens any file as text: gzip, zstd, bzip2, xz, zip; UTF-8, UTF-16, UTF-32. Its content decides, not its name."""

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import cramjam

from worker.errors import ProgressError
from worker.importers.formats import name_binary, name_text

HEAD = 4096  # bytes or characters that tell a format
FEW = 0.05  # zeros of a text that something wrote by mistake
DEEPEST = 4  # a gzip of a zip of ...
ZSTD, ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
STREAMS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
MARKS = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
PLAIN = [bytes([code]) for code in (9, 10, 13, *range(32, 127))]  # what a text begins with
BAD = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Part:
    """Holds one text of a file: the file's, or one of several in a zip. `head` is how the text begins."""

    name: str
    text: TextIO
    head: str


class _Guarded(io.RawIOBase):
    """Reads bytes, tells how many, and makes an error of reading a ProgressError with the file's name."""

    def __init__(self, file: Any, name: str, advance: Callable[[int], None] | None = None) -> None:
        self._file, self._name, self._advance = file, name, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._file.read(len(buffer))
        except BAD as error:
            raise ProgressError(f"{self._name} cannot be read: {error or type(error).__name__}") from error
        buffer[: len(found)] = found
        if self._advance:
            self._advance(len(found))
        return len(found)


def open_parts(path: str, advance: Callable[[int], None] | None = None) -> Iterator[Part]:
    """Yields each text of a file, `-` for standard input, to be read before the next one is asked for.

    `advance` is told how many bytes of the file were read. Raises ProgressError for a file that cannot be read, and for
    one that is no text, whose format it names. Reading a part raises ProgressError, too.
    """
    name = "standard input" if path == "-" else path
    with ExitStack() as stack:
        try:
            raw = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise ProgressError(f"{path} cannot be read: {error}") from error
        yield from _open_inner(_buffer(raw, name, advance), name, stack, 0)


def _buffer(file: Any, name: str, advance: Callable[[int], None] | None = None) -> io.BufferedReader:
    return io.BufferedReader(_Guarded(file, name, advance), 1 << 16)


def _open_inner(file: io.BufferedReader, name: str, stack: ExitStack, depth: int) -> Iterator[Part]:
    head = _peek(file)
    for magic, inflate in STREAMS:
        if head.startswith(magic) and depth < DEEPEST:
            yield from _open_inner(_buffer(inflate(file), name), name, stack, depth + 1)
            return
    if head.startswith(ZSTD) and depth < DEEPEST:
        yield from _open_inner(_buffer(_inflate_zstd(file, name, stack), name), name, stack, depth + 1)
    elif head.startswith(ZIP) and depth < DEEPEST:
        yield from _open_members(file, name, stack, depth)
    else:
        yield _decode(file, head, name)


def _peek(file: io.BufferedReader) -> bytes:
    """Returns the first bytes without taking them; fewer than HEAD only of a shorter file."""
    head = b""
    while len(found := file.peek(HEAD)) > len(head) and len(found) < HEAD:
        head = found
    return found[:HEAD]


def _make_file(stack: ExitStack) -> Any:
    """Makes a temporary file, which vanishes with the stack."""
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="course-progress-"))
    return stack.enter_context(Path(directory, "spooled").open("w+b"))


def _spool(file: BinaryIO | io.BufferedReader, stack: ExitStack) -> Any:
    """Copies a stream to a temporary file."""
    spooled = _make_file(stack)
    shutil.copyfileobj(file, spooled)
    spooled.flush()
    spooled.seek(0)
    return spooled


def _inflate_zstd(file: io.BufferedReader, name: str, stack: ExitStack) -> Any:
    packed = _spool(file, stack)
    inflated = _make_file(stack)
    try:
        cramjam.zstd.decompress_into(cramjam.File(packed.name), cramjam.File(inflated.name))
    except (cramjam.DecompressionError, OSError) as error:
        raise ProgressError(f"{name} cannot be read: {error}") from error
    return inflated


def _open_members(file: io.BufferedReader, name: str, stack: ExitStack, depth: int) -> Iterator[Part]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(_spool(file, stack)))
        members = [each for each in archive.infolist() if not each.is_dir() and not _is_beside(each.filename)]
        if any(each.filename == "[Content_Types].xml" for each in members):
            raise ProgressError(f"{name} is a document of an office program: save the table as CSV")
    except BAD as error:
        raise ProgressError(f"{name} cannot be read: {error}") from error
    for member in members:
        place = f"{name}: {member.filename}"
        try:
            opened = stack.enter_context(archive.open(member))
        except BAD as error:
            raise ProgressError(f"{place} cannot be read: {error}") from error
        yield from _open_inner(_buffer(opened, place), place, stack, depth + 1)


def _is_beside(name: str) -> bool:
    """Tells what packing programs put into a zip beside the files."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


def _decode(file: io.BufferedReader, head: bytes, name: str) -> Part:
    if found := name_binary(head):
        raise ProgressError(f"{name} is {found}")
    encoding = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None) or _guess_encoding(head)
    if encoding is None:
        raise ProgressError(f"{name} is not text")
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    text = io.TextIOWrapper(file, encoding=encoding, errors=errors)
    beginning = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    if found := name_text(beginning):
        raise ProgressError(f"{name} is {found}")
    return Part(name, text, beginning)


def _guess_encoding(head: bytes) -> str | None:
    """Guesses the encoding of a text without a mark: zeros at every other place are UTF-16. None: it is no text."""
    if b"\x00" not in head:
        return "utf-8"
    for place, encoding in enumerate(("utf-16-le", "utf-16-be")):
        if head[place : place + 1] in PLAIN and head[1 - place : 2 - place] == b"\x00":
            return encoding
    return "utf-8" if head.count(b"\x00") < len(head) * FEW else None
