"""Reads a file that has everything on lines of their own, compressed with gzip or not."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import wrap_file

from worker.errors import ProgressError

GZIP = b"\x1f\x8b"
LONGEST_LINE = 1 << 20  # bytes, which is as long as the largest event


@contextmanager
def read_lines(path: Path, doing: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Opens a file, gzip or not, and reads its numbered lines. Shows a bar on a terminal.

    Raises ProgressError for a file that cannot be read, and for a line of more than LONGEST_LINE bytes, of which it
    never holds more.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            size, console = path.stat().st_size, Console(stderr=True)
            hidden = not sys.stderr.isatty()
            with wrap_file(raw, size, description=doing, console=console, transient=True, disable=hidden) as read:
                yield _number_lines(gzip.GzipFile(fileobj=read) if zipped else read, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ProgressError(f"{path} cannot be read: {error}") from error


def _number_lines(file: BinaryIO | gzip.GzipFile, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the lines that are not empty, with their numbers."""
    lines = iter(partial(file.readline, LONGEST_LINE + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise ProgressError(
                f"{path} cannot be read: line {number:,} has more than {LONGEST_LINE:,} bytes. "
                "Is everything on a line of its own?"
            )
        if not line.isspace():
            yield number, line
