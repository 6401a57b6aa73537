"""Counts what was read, by its outcome, and reports what is malformed by its line."""

from collections import Counter
from dataclasses import dataclass, field

from worker.importers.records import Malformed, Report, Skipped
from worker.plain_text import escape

MALFORMED_REPORTED = 20
REASONS_COUNTED = 1000  # different ones; all others count together
REASONS_SHOWN = 10
LONGEST_REASON = 200  # characters
OTHERS = "for other reasons"


@dataclass
class Tally:
    """Holds the counts of an import. `files` has the name of each text that was read."""

    report: Report
    files: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    examples: list[dict[str, object]] = field(default_factory=list)  # of what is malformed
    published: int = 0

    def note(self, outcome: Malformed | Skipped, file: int) -> None:
        """Counts what is no record. Reports the first that are malformed."""
        if isinstance(outcome, Skipped):
            reason = shorten(outcome.reason)
            self.skipped[reason if reason in self.skipped or len(self.skipped) < REASONS_COUNTED else OTHERS] += 1
            return
        self.malformed += 1
        if self.malformed <= MALFORMED_REPORTED:
            reason = shorten(outcome.reason)
            self.examples.append({"file": self.files[file], "line": outcome.line, "reason": reason})
            where = f"{self.files[file]}: " if len(self.files) > 1 else ""
            self.report(escape(f"{where}line {outcome.line}: {reason}"))

    def format(self) -> str:
        """Formats the counts on one line, with the reasons for which most was skipped."""
        shown = self.skipped.most_common(REASONS_SHOWN)
        more = self.skipped.total() - sum(times for _, times in shown)
        parts = [f"{escape(reason)} {times:,}" for reason, times in shown] + [f"and {more:,} {OTHERS}"] * (more > 0)
        return f"skipped: {', '.join(parts) or 'none'}; malformed lines: {self.malformed:,}"


def shorten(text: str) -> str:
    """Cuts a text that a file may have made long."""
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
