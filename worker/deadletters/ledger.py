"""Which dead letters are resolved, and which are copies."""

from collections import defaultdict
from collections.abc import Hashable, Iterator

from worker.deadletters.letter import Letter, Position, Resolution


class Ledger:
    """What the whole topic says of its letters: which are resolved, and which are copies of one another.

    Keeps a few hundred bytes per record of the topic, never a value.
    """

    def __init__(self) -> None:
        self.resolutions: dict[Position, Resolution] = {}
        self._positions: dict[Hashable, list[Position]] = defaultdict(list)

    def note(self, entry: Letter | Resolution) -> None:
        if isinstance(entry, Resolution):
            self.resolutions[entry.of] = entry
        else:
            self._positions[entry.identity].append(entry.position)

    def find_open_copies(self, letter: Letter) -> list[Position]:
        """Where the letter stands, over and over, and is not resolved."""
        return [p for p in self._positions[letter.identity] if p not in self.resolutions]

    def list_open(self) -> Iterator[Position]:
        """Every letter that is not resolved, copies too."""
        return (p for positions in self._positions.values() for p in positions if p not in self.resolutions)
