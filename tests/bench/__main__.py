"""Runs `make bench`: measures the worker, and compares it with PostgreSQL's own limit and with alternatives."""

import logging
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import click
import uvloop

from tests.bench.against import NotMeasured, checked_out, measure_in_turn, name_of_this_tree
from tests.bench.bench import Bench, connected
from tests.bench.comparison import format_comparisons
from tests.bench.machine import speed_ms
from tests.bench.report import PAGE, format_section, machine, page, with_sections
from tests.bench.result import Result
from tests.bench.sections import SECTIONS, Section
from tests.bench.servers import servers
from tests.bench.sizes import QUICK, Sizes
from worker.cli.options import WithExamples
from worker.devstack import NoServer
from worker.gc_tuning import collect_rarely


def say(line: str) -> None:
    click.echo(line, err=True)


@click.command(
    cls=WithExamples,
    epilog="make bench\nONLY=latency make bench ARGS=--write\nmake bench ONLY=even ARGS='--against HEAD~1'\n"
    "python -m tests.bench --only tables,reads --quick",
    help=f"""Measures on servers of its own, and prints each section's table: {", ".join(s.name for s in SECTIONS)}.

    All of them together write docs/benchmarks.md. Nothing else should run on the machine.""",
)
@click.option("--only", default="", metavar="NAMES", help="These sections, comma-separated.")
@click.option("--write", is_flag=True, help="Puts the sections of --only into the page, each with the day of its run.")
@click.option("--quick", is_flag=True, help="Sizes that show that the harness works, and nothing else; writes no page.")
@click.option(
    "--against",
    metavar="REF",
    help="Compares the sections of --only with those of another commit: in turn, on the same servers; writes no page.",
)
@click.option(
    "--turns", default=3, show_default=True, type=click.IntRange(2), help="How often --against measures each tree."
)
def main(only: str, write: bool, quick: bool, against: str | None, turns: int) -> None:
    chosen = [section for section in SECTIONS if not only or section.name in only.split(",")]
    if write and (quick or not only):
        raise click.UsageError("--write goes with --only, and not with --quick")
    if unknown := set(filter(None, only.split(","))) - {section.name for section in SECTIONS}:
        raise click.UsageError(f"no section {', '.join(unknown)}: there are {', '.join(s.name for s in SECTIONS)}")
    if against and (write or not only or "peers" in only.split(",")):
        raise click.UsageError("--against goes with --only, and with neither --write nor the section peers")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics come and go
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    minutes = (1 if quick else sum(section.minutes for section in chosen)) * (2 * turns if against else 1)
    say(f"{len(chosen)} sections, about {minutes:.0f} minutes")
    try:
        if against:
            compare_with(against, chosen, turns, quick)
        else:
            measure_here(chosen, quick, write, whole=not only)
    except (NoServer, NotMeasured) as reason:
        raise click.ClickException(str(reason)) from None
    except KeyboardInterrupt:
        sys.exit(130)


def measure_here(chosen: list[Section], quick: bool, write: bool, whole: bool) -> None:
    """Prints the sections. Writes the whole page when all were measured (`whole`), else with `write` these sections."""
    with servers(say) as running:
        on, results = uvloop.run(measure(Bench(running, QUICK if quick else Sizes(), say), chosen))
    if whole and not quick:
        PAGE.write_text(page(results, on, Sizes().longest_drain_s))
    elif write:
        PAGE.write_text(with_sections(PAGE.read_text(), results, on))


def compare_with(ref: str, chosen: list[Section], turns: int, quick: bool) -> None:
    """Prints for each section how this tree's figures stand to those of another commit. Raises `NotMeasured`."""
    with checked_out(ref) as theirs, servers(say) as running:
        for section in chosen:
            comparisons = measure_in_turn(section.name, theirs, running, turns, quick, say)
            click.echo(f"## {section.name}: {name_of_this_tree()} against {theirs.name}\n")
            click.echo(format_comparisons(comparisons, theirs.name))


async def measure(bench: Bench, chosen: list[Section]) -> tuple[str, dict[Section, Result]]:
    """Runs the sections. Returns a description of the machine, and the result of each section."""
    started = datetime.now(UTC)
    async with connected(bench.settings()) as connection:
        on = machine(started, await connection.fetchval("show shared_buffers"))
    click.echo(on + "\n")
    results: dict[Section, Result] = {}
    for section in chosen:
        began = time.monotonic()
        say(section.name)
        collect_rarely()  # a pause of the harness would count as a pause of the measured process
        before = speed_ms()
        results[section] = replace(await section.run(bench), loop_ms=(before, speed_ms()))
        say(f"{section.name}: {(time.monotonic() - began) / 60:.1f} minutes")
        click.echo(format_section(section, results[section]))
    return on, results


if __name__ == "__main__":
    main()
