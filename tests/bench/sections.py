"""Lists the sections of the benchmark, in the order of the page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import cleandoc

from tests.bench import (
    advice,
    alternatives,
    api,
    attacked,
    catalog,
    certificates,
    drains,
    footprint,
    growth,
    heartbeats,
    imports,
    latency,
    milestones,
    reads,
    recount,
    scaling,
)
from tests.bench.bench import Bench
from tests.bench.result import Result


@dataclass(frozen=True, slots=True)
class Section:
    """Names a section and the function that measures it; `minutes` is its duration on two cores."""

    name: str
    minutes: float
    run: Callable[[Bench], Awaitable[Result]]

    @property
    def text(self) -> str:
        """Returns the description of the section on the page: the docstring of its function."""
        return cleandoc(self.run.__doc__ or "")


SECTIONS = [
    # Before the drains, because these keep the disk and Kafka busy with deletions for minutes.
    Section("latency", 6, latency.latency),
    Section("api", 8, api.api),
    Section("attacked", 6, attacked.attacked),
    Section("even", 4, drains.against_the_floor),
    Section("bursty", 4, drains.against_the_floor_in_bursts),
    Section("catalog", 5, catalog.with_a_catalog),
    Section("milestones", 6, milestones.with_milestones),
    Section("peers", 15, alternatives.against_peers),
    Section("tables", 11, growth.growing_tables),
    Section("courses", 6, growth.longer_courses),
    Section("workers", 4, growth.more_workers),
    Section("batches", 3, growth.larger_batches),
    Section("partitions", 3, growth.more_partitions),
    Section("reads", 3, reads.reads),
    Section("recount", 30, recount.republished),
    Section("certificates", 6, certificates.certificates),
    Section("scaling", 20, scaling.scaling),
    Section("heartbeats", 9, heartbeats.heartbeats),
    Section("advice", 5, advice.advice),
    Section("import", 3, imports.imports),
    Section("footprint", 11, footprint.footprint),
]
