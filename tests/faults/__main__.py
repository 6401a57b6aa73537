"""Runs `make faults`: plays every fault on real Kafka and PostgreSQL, and prints a table of what was lost."""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.faults import FAULTS
from tests.faults.fault import Fault, Outcome, play
from tests.faults.report import heading, line, write
from tests.faults.servers import Servers


@click.command(epilog="ONLY=zombie SEED=7 make faults")
@click.option("--only", default="", metavar="NAME", help="Play the faults whose name contains this.")
@click.option("--seed", type=int, default=lambda: random.randrange(10_000), help="Seed of every random choice.")
@click.option("--rounds", type=int, help="Rounds per fault, instead of its own number.")
@click.option("--resume", type=Path, metavar="FILE", help="Goes on with the run of this seed that FILE keeps.")
def main(only: str, seed: int, rounds: int | None, resume: Path | None) -> None:
    """Plays each fault several times and prints a line for it; exits 1 when a promise was broken.

    The whole suite writes docs/faults.md, unless a fault was skipped for something that this machine lacks.
    """
    chosen = [fault for fault in FAULTS if only in fault.name]
    if not chosen:
        raise click.UsageError(f"no fault's name contains {only!r}: {', '.join(fault.name for fault in FAULTS)}")
    os.environ.setdefault("PROGRESS_MILESTONES", "true")  # so that they are compared, too
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs every fault
    started = datetime.now(UTC)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers, too
    click.echo(f"seed {seed}, {len(chosen)} faults", err=True)
    try:
        outcomes = run(chosen, seed, rounds, Played(resume, seed))
    except KeyboardInterrupt:
        sys.exit(130)
    if [fault for fault, _ in outcomes] == FAULTS and not rounds:
        write(outcomes, seed, started)
    sys.exit(int(any(outcome.broken for _, outcome in outcomes)))


class Played:
    """Keeps the outcomes of a seed in a file, by the faults' names, so that a run that was interrupted can go on."""

    def __init__(self, file: Path | None, seed: int) -> None:
        self._file = file
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._seed = seed
        if file and file.exists():
            kept = json.loads(file.read_text())
            if kept["seed"] != seed:
                raise click.UsageError(f"{file} keeps a run of seed {kept['seed']}: give SEED={kept['seed']}")
            self._outcomes = kept["outcomes"]

    def find(self, fault: Fault) -> Outcome | None:
        return Outcome(**self._outcomes[fault.name]) if fault.name in self._outcomes else None

    def keep(self, fault: Fault, outcome: Outcome) -> None:
        self._outcomes[fault.name] = asdict(outcome)
        if self._file:
            self._file.write_text(json.dumps({"seed": self._seed, "outcomes": self._outcomes}))


def run(chosen: list[Fault], seed: int, rounds: int | None, played: Played) -> list[tuple[Fault, Outcome]]:
    with Servers(lambda said: click.echo(said, err=True)) as servers:
        return asyncio.run(play_all(servers, chosen, seed, rounds, played))


async def play_all(
    servers: Servers, chosen: list[Fault], seed: int, rounds: int | None, played: Played
) -> list[tuple[Fault, Outcome]]:
    click.echo(heading())
    outcomes = []
    for fault in chosen:
        if fault.missing:
            click.echo(f"{fault.name}: skipped: {fault.missing}", err=True)
            continue
        total, began = played.find(fault), time.monotonic()
        if total is None:
            total = Outcome()
            for number in range(rounds or fault.rounds):
                total.add(await play(servers, fault, seed + 1000 * number))
            played.keep(fault, total)
        outcomes.append((fault, total))
        click.echo(line(fault, total))
        verdict = "BROKEN" if total.broken else "kept"
        click.echo(f"{fault.name}: {verdict}, {time.monotonic() - began:.0f} s", err=True)
        for broken in total.broken:
            click.echo(f"  {broken}", err=True)
    return outcomes


if __name__ == "__main__":
    main()
