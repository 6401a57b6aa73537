"""Defines the benchmark's targets, and compares a run's figures with them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.result import Figure


@dataclass(frozen=True, slots=True)
class Target:
    """Defines a figure's least or greatest wanted value; with neither, the figure is only shown."""

    what: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    def met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def wanted(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{self.unit}"
        return f"≤ {self.at_most:g}{self.unit}" if self.at_most is not None else ""


TARGETS = [
    Target("ours / floor, spread evenly", "ours/floor even", at_least=0.8),
    Target("ours / floor, bursty", "ours/floor bursty", at_least=0.8),
    Target("ours / floor over as many connections as ours has, spread evenly", "ours/wide floor even"),
    Target("ours / Quix batching sink with our statement", "ours/quix_sink", at_least=2),
    Target("ours / FastStream batches with our statement", "ours/faststream_batch", at_least=2),
    Target("ours / Debezium's JDBC sink, which writes the lesson row only", "ours/connect_jdbc", at_least=1.2),
    Target("ours / Faust event by event", "ours/faust_events", at_least=40),
    Target("ours / Faust `take` with our statement", "ours/faust_take", at_least=4.5),
    Target("with a version of every course / without", "catalog/without", at_least=0.92),
    Target("with milestones / without", "milestones/without", at_least=0.97),
    Target("worker CPU per event", "worker CPU even", at_most=15, unit=" µs"),
    Target("p99 produced → visible at 500/s", "p99 visible 500", at_most=20, unit=" ms"),
    Target("p99 produced → visible at 2,000/s", "p99 visible 2000", at_most=40, unit=" ms"),
    Target("cost per event at 30 million lesson rows / at 1 million", "Lesson rows", at_most=1.3),
    Target("sizes at which a batch's plan scans a table", "Lesson rows, scans", at_most=0),
    Target("cost per event with 1,000-lesson courses / 10-lesson courses", "Lessons of a course", at_most=1.1),
    Target("two workers / one", "two workers/one", at_least=1.7),
    Target("get_course_progress, p99", "get_course_progress", at_most=2, unit=" ms"),
    Target("list of 10, p99", "get_user_progress", at_most=3, unit=" ms"),
    Target("bulk of 50, p99", "get_bulk_course_progress", at_most=5, unit=" ms"),
    Target("stats, p99", "get_progress_stats", at_most=5, unit=" ms"),
    *(
        Target(f"{what}, p99; ahead of the other processes: {ahead}", f"{call}, ahead {ahead}", at_most=ms, unit=" ms")
        for call, what, ms in (
            ("GET", "GET /api/progress/{courseId} at 200/s beside a worker with 500 events/s", 10),
            ("POST", "POST /api/progress/complete, through Kafka and back", 60),
        )
        for ahead in ("callers, API, database", "API, database", "none")
    ),
    Target("recount of a course that was published again beside 500 events/s", "recount minutes", unit=" minutes"),
    Target("p99 produced → visible meanwhile / before", "p99 recount/without", at_most=3),
    Target("rows that the recount missed", "recount missed", at_most=0),
    Target("rows that are wrong after the recount", "recount wrong", at_most=0),
    Target("import of 200,000 statements in an array on one line", "import seconds, an array on one line", unit=" s"),
    Target("memory of that import", "import MB, an array on one line", at_most=150, unit=" MB"),
    *(
        Target(f"longest wait, {step}; {who}", f"{who}: {step}", at_most=wanted_s, unit=" s")
        for who, step, wanted_s in (
            ("now", "4 → 2 by SIGTERM", 1.5),
            ("now, static ids", "4 → 2 by SIGTERM", 1.5),
            ("now", "one of two restarted (SIGTERM, start)", 1.5),
            ("now, static ids", "one of two restarted (SIGTERM, start)", 5),
            ("now", "one of two SIGKILLed", 8),
        )
    ),
    Target("rebalances of the other worker in a restart with static ids", "rebalances of the other", at_most=0),
    *(
        Target(f"shorter heartbeat, {what}", f"heartbeats, {what}", at_most=most, unit=unit)
        for what, most, unit in (
            ("processor time of the worker", 0.2, " % of a core"),
            ("processor time of the broker", 0.2, " % of a core"),
            ("memory of the worker", 1, " MB"),
        )
    ),
    Target("the advice on workers is off by, at the worst of three rates", "advice", at_most=0.2),
    Target("memory over the soak, last minute / third minute", "memory", at_most=1.05),
]
COLUMNS = ("what", "target", "measured", "met, or what bounds it")


def judged(target: Target, figures: Mapping[str, Figure]) -> tuple[str, ...]:
    """Builds the row of a target in the table of targets."""
    figure = figures.get(target.figure)
    if figure is None:
        return target.what, target.wanted, "not in this run", ""
    value = f"{figure.value:,.0f}" if figure.value >= 1000 else f"{figure.value:.3g}"
    measured = value + target.unit + (f" ({figure.absolute})" if figure.absolute else "")
    if not target.wanted:
        return target.what, "", measured, figure.bound
    verdict = "met" if target.met_by(figure.value) else f"**missed**: {figure.bound}" if figure.bound else "**missed**"
    return target.what, target.wanted, measured, verdict
