"""Runs `make faults`: plays every fault on real Kafka and PostgreSQL, and prints a table of what was lost."""

import asyncio
import logging
import random
import signal
import sys
import time
from datetime import UTC, datetime

import click

from tests.faults import FAULTS
from tests.faults.fault import Fault, Outcome, play
from tests.faults.report import heading, line, write
from tests.faults.servers import Servers


@click.command(epilog="ONLY=zombie SEED=7 make faults")
@click.option("--only", default="", metavar="NAME", help="Play the faults whose name contains this.")
@click.option("--seed", type=int, default=lambda: random.randrange(10_000), help="Seed of every random choice.")
@click.option("--rounds", type=int, help="Rounds per fault, instead of its own number.")
def main(only: str, seed: int, rounds: int | None) -> None:
    """Plays each fault several times and prints a line for it; exits 1 when a promise was broken.

    The whole suite writes docs/faults.md, unless a fault was skipped for something that this machine lacks.
    """
    chosen = [fault for fault in FAULTS if only in fault.name]
    if not chosen:
        raise click.UsageError(f"no fault's name contains {only!r}: {', '.join(fault.name for fault in FAULTS)}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs every fault
    started = datetime.now(UTC)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers, too
    click.echo(f"seed {seed}, {len(chosen)} faults", err=True)
    try:
        outcomes = run(chosen, seed, rounds)
    except KeyboardInterrupt:
        sys.exit(130)
    if [fault for fault, _ in outcomes] == FAULTS and not rounds:
        write(outcomes, seed, started)
    sys.exit(int(any(outcome.broken for _, outcome in outcomes)))


def run(chosen: list[Fault], seed: int, rounds: int | None) -> list[tuple[Fault, Outcome]]:
    with Servers(lambda said: click.echo(said, err=True)) as servers:
        return asyncio.run(play_all(servers, chosen, seed, rounds))


async def play_all(servers: Servers, chosen: list[Fault], seed: int, rounds: int | None) -> list[tuple[Fault, Outcome]]:
    click.echo(heading())
    outcomes = []
    for fault in chosen:
        if fault.missing:
            click.echo(f"{fault.name}: skipped: {fault.missing}", err=True)
            continue
        total, began = Outcome(), time.monotonic()
        for number in range(rounds or fault.rounds):
            total.add(await play(servers, fault, seed + 1000 * number))
        outcomes.append((fault, total))
        click.echo(line(fault, total))
        verdict = "BROKEN" if total.broken else "kept"
        click.echo(f"{fault.name}: {verdict}, {time.monotonic() - began:.0f} s", err=True)
        for broken in total.broken:
            click.echo(f"  {broken}", err=True)
    return outcomes


if __name__ == "__main__":
    main()
