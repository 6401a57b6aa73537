"""Keeps which dead letters are resolved, and which are copies of one another."""

from collections import defaultdict
from collections.abc import Hashable, Iterator

from worker.deadletters.letter import Letter, Position, Resolution


class Ledger:
    """Sums up the whole topic: which letters are resolved, and which are copies of one another.

    It keeps a few hundred bytes per record of the topic, never a value.
    """

    def __init__(self) -> None:
        self.resolutions: dict[Position, Resolution] = {}
        self._positions: dict[Hashable, list[Position]] = defaultdict(list)

    def note(self, entry: Letter | Resolution) -> None:
        """Takes in one record of the topic, a letter or a resolution."""
        if isinstance(entry, Resolution):
            self.resolutions[entry.of] = entry
        else:
            self._positions[entry.identity].append(entry.position)

    def find_open_copies(self, letter: Letter) -> list[Position]:
        """Finds the unresolved positions of the letter: its own, and those of its copies."""
        return [p for p in self._positions[letter.identity] if p not in self.resolutions]

    def list_open(self) -> Iterator[Position]:
        """Lists the position of every letter that is not resolved, copies too."""
        return (p for positions in self._positions.values() for p in positions if p not in self.resolutions)
