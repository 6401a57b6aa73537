"""Defines how much is measured: everything, or just enough to show that the harness works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    rounds: int = 3  # in turn; the median counts
    events: int = 400_000  # of a drain
    batch_size: int = 2000  # where a section does not vary it
    rows: int = 50_000  # progress rows, 20 of 40 lessons each
    longest_drain_s: float = 30  # for a contender so slow that a part must suffice

    events_of_an_error: int = 10_000

    latency_s: float = 40
    warm_up_s: float = 8
    call_rounds: int = 5
    calls_s: float = 10
    attackers_lessons: int = 2000  # in each of 30 courses

    fewer_events: int = 200_000  # of each drain in a series
    series_rounds: int = 2
    lesson_rows: tuple[int, ...] = (1_000_000, 10_000_000, 30_000_000)
    course_lessons: tuple[int, ...] = (10, 100, 1000)
    lesson_rows_of_courses: int = 1_000_000
    workers: tuple[int, ...] = (1, 2, 4)
    batch_sizes: tuple[int, ...] = (500, 1000, 2000, 5000)
    partitions: tuple[int, ...] = (1, 8, 64)

    progress_rows_read: int = 1_000_000
    rows_recounted: int = 1_000_000
    reads: int = 2000  # of each operation
    writes: int = 400

    certificates: int = 2000
    certificates_per_s: float = 10  # at a steady rate

    scaled: tuple[str, ...] = ("plain aiokafka", "before", "before, static ids", "now", "now, static ids")
    scaling_rounds: int = 2
    scaling_rate: float = 600
    scaling_step_s: float = 10  # at least
    scaling_steps: int = 5
    idle_s: float = 60
    idle_workers: int = 4
    advice_s: float = 20
    advice_burst: int = 30_000  # for each worker
    advice_batch_size: int = 20
    advice_most_workers: int = 4
    statements: int = 200_000  # of an import

    starts: int = 3
    soak_s: float = 600


QUICK = Sizes(
    rounds=1,
    events=4000,
    batch_size=200,
    rows=500,
    longest_drain_s=20,
    events_of_an_error=1000,
    latency_s=0.6,
    warm_up_s=0.4,
    call_rounds=1,
    calls_s=0.4,
    attackers_lessons=20,
    fewer_events=2000,
    series_rounds=1,
    lesson_rows=(10_000,),
    course_lessons=(10,),
    lesson_rows_of_courses=20_000,
    workers=(1, 2),
    batch_sizes=(200,),
    partitions=(4,),
    progress_rows_read=2000,
    rows_recounted=2000,
    reads=20,
    writes=5,
    certificates=20,
    scaled=("plain aiokafka", "now", "now, static ids"),
    scaling_rounds=1,
    scaling_rate=100,
    scaling_step_s=1,
    scaling_steps=3,
    idle_s=1,
    idle_workers=1,
    advice_s=4,
    advice_burst=2000,
    advice_most_workers=2,
    statements=2000,
    starts=1,
    soak_s=2,
)
