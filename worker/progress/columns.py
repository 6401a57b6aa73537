"""Turns a folded batch into the columns that the statements of this room take, each an array. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from aiokafka import TopicPartition

from worker.progress.fold import CourseKey, FoldedBatch
from worker.progress.known_courses import Knowledge
from worker.stream.sink import Spans

T = TypeVar("T")
Columns: TypeAlias = list[list[Any]]
# Progress rows to announce once more, each with the partitions whose commits were lost.
Recovered: TypeAlias = Mapping[CourseKey, Collection[TopicPartition]]


def build_columns(folded: FoldedBatch, spans: Spans, known: Knowledge) -> Columns:
    """Builds $2 to $25 of apply.sql; the epoch is $26."""
    return [
        [tp.topic for tp in spans],
        [tp.partition for tp in spans],
        [span.expected for span in spans.values()],
        [span.next for span in spans.values()],
        [span.leader_epoch for span in spans.values()],
        *_build_course_columns(folded, spans, known),
        *_build_lesson_columns(folded, known),
    ]


def _build_course_columns(folded: FoldedBatch, spans: Spans, known: Knowledge) -> Columns:
    sources: dict[tuple[str, int], int] = {tp: number for number, tp in enumerate(spans, start=1)}
    rows = []
    for key, change in folded.courses.items():
        course, latest = known.get(key[1]), change.last_accessed_at
        total = (course.needed, None) if course.version else _split_pair(change.total, latest)
        rows.append(
            (
                *key,
                sources[change.topic, change.partition],
                _omit_if_latest(change.started_at, latest),
                latest,
                *total,
                *_split_pair(change.last_lesson, latest),
                course.version,
                course.version > 0 and (key in folded.resets or bool(change.waivers) or course.must_judge(change)),
                change.cause,
                change.utc_offset,
            )
        )
    return _turn(rows, 13)


def _split_pair(pair: tuple[datetime, T] | None, latest: datetime) -> tuple[T | None, datetime | None]:
    return (pair[1], _omit_if_latest(pair[0], latest)) if pair else (None, None)


def _omit_if_latest(at: datetime | None, latest: datetime | None) -> datetime | None:
    """Leaves out the row's latest time, because most rows have one event and asyncpg takes 0.7 µs to encode a time."""
    return None if at == latest else at


def _build_lesson_columns(folded: FoldedBatch, known: Knowledge) -> Columns:
    rows = []
    for number, ((_, course_id), change) in enumerate(folded.courses.items(), start=1):
        course = known.get(course_id)
        for name in sorted(change.lessons):
            lesson = change.lessons[name]
            counts = not course.version or name in course.required
            rows.append((number, name, *_write_times(lesson.completions), lesson.uncompleted_at, counts))
    return _turn(rows, 6)


def _write_times(times: list[datetime]) -> tuple[datetime | None, str | None]:
    """Returns the latest time, and all of them as PostgreSQL writes an array, if there are several."""
    if len(times) < 2:
        return (times[0] if times else None), None
    return max(times), _write_array(times)


def _write_array(times: list[datetime]) -> str:
    return f"{{{','.join(time.isoformat() for time in times)}}}"


def build_waiver_columns(folded: FoldedBatch) -> Columns:
    """Builds the parameters of waive.sql."""
    rows = [
        (*key, lesson_id, _write_array(waiver.waived), waiver.withdrawn_at, reason)
        for key, change in folded.courses.items()
        for lesson_id, waiver in sorted(change.waivers.items())
        for reason in [waiver.reason[1] if waiver.reason else None]
    ]
    return _turn(rows, 6)


def build_reset_columns(folded: FoldedBatch) -> Columns:
    """Builds the parameters of reset.sql."""
    rows = [(*key, reset.reset_at, reset.topic, reset.partition) for key, reset in folded.resets.items()]
    return _turn(rows, 5)


def build_judged_columns(folded: FoldedBatch, to_judge: Collection[int]) -> Columns:
    """Builds the parameters of judge.sql; `to_judge` are the numbers of progress rows, as in apply.sql, from 1."""
    courses = list(folded.courses.items())
    return _turn([(*key, c.topic, c.partition, c.cause) for key, c in (courses[number - 1] for number in to_judge)], 5)


def build_judged_reset_columns(folded: FoldedBatch, known: Knowledge) -> Columns:
    """Builds the parameters of judge.sql for the rows that reset.sql leaves to it."""
    resets = [(key, reset) for key, reset in folded.resets.items() if known.get(key[1]).version]
    return _turn([(*key, reset.topic, reset.partition, "reset") for key, reset in resets], 5)


def build_recovered_columns(recovered: Recovered, spans: Spans) -> Columns:
    """Builds the parameters of recover.sql."""
    rows = [(*key, sum(spans[tp].number_gap for tp in tps), *min(tps)) for key, tps in recovered.items()]
    return _turn(rows, 5)


def _turn(rows: list[tuple[Any, ...]], width: int) -> Columns:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
