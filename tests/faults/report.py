"""Writes the table of faults, for a terminal and into docs/faults.md."""

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

`make faults` plays each of these faults several times, at moments that the seed chooses, on real Kafka and real
PostgreSQL, while known events flow: with duplicates, late ones, resets and bad ones. Then it lets the system recover
and compares every row, every completion and every dead letter with the reference model of the events that Kafka
acknowledged. It also runs `course-progress verify`, which must find nothing. Each round has to prove that its fault
happened, by a metric, a server's own figure or an exit status, or it does not count. `ONLY=zombie SEED=7 make faults`
plays one fault. Only a whole run writes this page; `SEED=7 RESUME=file` keeps it in a file, and goes on where it ended.

{run}

{table}

{notes}
- **events**: those that Kafka acknowledged, over all rounds ({rounds} per fault).
- **lost**: valid events whose row reflects neither them nor anything later.
- **wrong rows**: progress rows, lesson rows or stored offsets that differ from the model's, and course events that were
  published although nothing happened.
- **completions missed**: transitions by the rows' numbers that are not in `course-events`, or behind a later one of
  their course; and courses whose last course event says otherwise than the row: the last that was published, or the one
  with the highest number. All as a subscriber hears them that knows their ids. Where commits were lost, only the last
  ones are compared.
- **distinct ids published twice** are allowed: at least once, always under the same id.
- **dead letters missing**: bad records that are not in the dead letter topic byte for byte; of one of more
  than 2 MiB, its beginning with the whole's size and digest.
- **recovery seconds**: from the end of the fault until everything in the log is applied and announced, the least and
  the most of the rounds. Workers have a session timeout of 3 s in this suite, and statements one of 10 s.

`tests/faults/test_faults.py` proves that the suite can fail. It does so with the compare-and-swap switched off, with
the outbox written outside the transaction, when the worker does not wait until a dead letter is written, when course
events are published newest first or without waiting for a learner's older ones, when nobody looks for lost commits,
when a batch is written that was folded before a version was known, and when a website calls done what is not applied.
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
