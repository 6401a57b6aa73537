"""Writes the results of a run, for a terminal and into docs/benchmarks.md."""

import platform
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.bench import targets
from tests.bench.machine import description
from tests.bench.result import Figure, Result, row, table
from tests.bench.sections import Section
from tests.bench.targets import TARGETS, judged
from worker.devstack.kafka_jars import POM
from worker.intake.lane import LANES

PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"
TEXT = """\
# Benchmarks

`make bench` writes this page in one run. A section that was measured alone since then says so
(`ONLY=latency make bench ARGS=--write`). `make bench ARGS=--help` lists the sections.

{run}

Compared contenders were measured in turn (A B A B), on the same servers, with the same events and byte for byte the
same tables. Of several rounds the median counts. Absolute figures hold for this machine at its speed during the run: a
neighbour of a virtual machine can halve it. One fixed loop of Python took {fastest:.0f} to {slowest:.0f} ms.

## Targets

{targets}

{sections}
## Definitions

- **Events**: 70 % LessonCompleted, 25 % CourseAccessed, 5 % LessonUncompleted, in the order of their time, keyed by
  user, in 12 partitions. Progress rows have 20 of 40 lessons completed beforehand: SQL fills them in, one lesson of all
  rows after the other. Lesson ids have 36 characters.
- **Drain**: all events are in Kafka beforehand. A drain begins when the first transaction begins (`now()` in a trigger
  on the first stored offset of each partition) and ends when all offsets are stored (polled every 20 ms; every 250 ms
  for Kafka Connect), both by the database's clock. A contender that needs more than {longest_drain_s:.0f} s is measured
  by the events it has applied by then.
- **Floor**: the statements that one worker would execute for the same log, decoded and folded beforehand, executed one
  after the other over one connection like the worker's: the driver's encoding, and PostgreSQL. A worker has {lanes}
  connections, so it can do more; the second floor executes the statements over as many.
- **Ideal**: the rate at which the processor time per event of broker, database and worker in this drain keeps all cores
  busy, divided by the floor's.
- **CPU µs/event**: user and system time from /proc, between the first look that saw a commit and the end.
- **WAL kB/event**: everything that the server wrote. A drain starts right after a checkpoint unless stated otherwise.
"""


def page(results: Mapping[Section, Result], machine: str, longest_drain_s: float) -> str:
    loops = [loop for result in results.values() for loop in result.loop_ms]
    return TEXT.format(
        run=machine,
        fastest=min(loops),
        slowest=max(loops),
        targets=table(targets.COLUMNS, [judged(target, figures_of(results)) for target in TARGETS]),
        sections="\n".join(part(section, result) for section, result in results.items()),
        longest_drain_s=longest_drain_s,
        lanes=LANES,
    )


def with_sections(written: str, results: Mapping[Section, Result], machine: str) -> str:
    """Returns the page with these sections and their targets replaced; each section names `machine`.

    Raises KeyError for a section that the page does not have.
    """
    parts = {text.partition("\n")[0]: text for text in re.split(r"^(?=## )", written, flags=re.MULTILINE)}
    for section, result in results.items():
        if (title := f"## {result.title}") not in parts:
            raise KeyError(title)
        parts[title] = part(section, result, f"Measured alone: {machine} ") + "\n"
    had = {line.split(" | ")[0].removeprefix("| "): line for line in parts["## Targets"].splitlines()}
    figures = figures_of(results)
    rows = [
        had[target.what] if target.figure not in figures and target.what in had else row(judged(target, figures))
        for target in TARGETS
    ]
    parts["## Targets"] = "\n".join(["## Targets\n", table(targets.COLUMNS, []), *rows, "\n"])
    return "".join(parts.values())


def part(section: Section, result: Result, measured: str = "") -> str:
    before, behind = result.loop_ms
    speed = f"{measured}The loop took {before:.0f} ms before this section, and {behind:.0f} ms after it."
    return f"## {result.title}\n\n{section.text}\n\n{speed}\n\n{table(result.columns, result.rows)}\n"


def format_section(section: Section, result: Result) -> str:
    """Formats a section and its targets for a terminal."""
    rows = [judged(target, result.figures) for target in TARGETS if target.figure in result.figures]
    return "\n".join([part(section, result), *([table(targets.COLUMNS, rows), ""] if rows else [])])


def figures_of(results: Mapping[Section, Result]) -> dict[str, Figure]:
    return {name: figure for result in results.values() for name, figure in result.figures.items()}


def machine(started: datetime, shared_buffers: str) -> str:
    kafka = ElementTree.parse(POM).findtext("version")
    servers = (
        f"Kafka {kafka}, PostgreSQL 18 (fsync on, shared_buffers {shared_buffers}), Python {platform.python_version()}"
    )
    return f"{started:%Y-%m-%d}; {servers}; {description()}."
