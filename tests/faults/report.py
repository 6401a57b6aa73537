"""The table of faults, in a terminal and in docs/faults.md."""

import os
import platform
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.fault import Fault, Outcome
from worker.devstack.kafka_jars import POM

CPUS = Path("/proc/cpuinfo")
PAGE = Path(__file__).parents[2] / "docs/faults.md"
COLUMNS = [
    *("fault", "events", "lost", "wrong rows", "completions missed", "distinct ids published twice"),
    *("dead letters missing", "recovery seconds"),
]
TEXT = """\
# Bad days

`make faults` makes each of these happen, several times at moments that the seed chooses, on real Kafka and real
PostgreSQL, while known events flow: with duplicates, late ones, resets and bad ones. Then it lets the system recover,
compares every row, every completion and every dead letter with the reference model of what Kafka acknowledged, and runs
`course-progress verify`, which must find nothing. `ONLY=zombie SEED=7 make faults` plays one. This page is written by a
whole run, and by nothing else.

{run}

{table}

{notes}
- **events**: acknowledged by Kafka, over all rounds ({rounds} a fault).
- **lost**: valid events whose row knows neither of them nor of anything later.
- **wrong rows**: progress rows, lesson rows or stored offsets that are not what the model says; announcements of what
  never happened.
- **completions missed**: transitions by the rows' numbers that are not in `course-events`, and courses that the model
  says are complete and whose last news is not a completion.
- **distinct ids published twice** are allowed: at least once, always under the same id.
- **dead letters missing**: bad records that are not in the dead letter topic byte for byte.
- **recovery seconds**: from the end of the fault until all that is in the log is applied and announced, the least and
  the most of the rounds. Workers have a session timeout of 3 s there, and statements one of 10 s.

That the suite can fail is tested (`tests/faults/test_faults.py`): it goes red with the compare-and-swap switched off,
with the outbox written outside the transaction, and when nobody waits for a dead letter to be written.
"""


def heading() -> str:
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def line(fault: Fault, outcome: Outcome) -> str:
    times = sorted(outcome.recovery_s)
    cells = [
        fault.text,
        f"{outcome.events:,}",
        f"{outcome.lost:,}{' (1)' if outcome.notes else ''}",
        outcome.wrong_rows,
        outcome.completions_missed,
        outcome.published_twice,
        outcome.dead_letters_missing,
        f"{times[0]:.1f} to {times[-1]:.1f}" if times else "never",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write(outcomes: list[tuple[Fault, Outcome]], seed: int, started: datetime) -> None:
    """Writes docs/faults.md from one whole run."""
    reasons = {note for _, outcome in outcomes for note in outcome.notes}
    rounds = sorted({fault.rounds for fault, _ in outcomes})
    PAGE.write_text(
        TEXT.format(
            run=machine(seed, started),
            table="\n".join([heading(), *(line(fault, outcome) for fault, outcome in outcomes)]),
            notes="".join(f"(1) {reason}.\n" for reason in sorted(reasons)),
            rounds=f"{rounds[0]} to {rounds[-1]}",
        )
    )


def machine(seed: int, started: datetime) -> str:
    kafka = ElementTree.parse(POM).findtext("version")
    [cpu] = {line.split(": ")[1] for line in CPUS.read_text().splitlines() if line.startswith("model name")}
    servers = f"Kafka {kafka}, PostgreSQL 18, Python {platform.python_version()}"
    return f"Seed {seed}, {started:%Y-%m-%d}; {servers}; {os.cpu_count()} cores of {cpu} for all of it."
