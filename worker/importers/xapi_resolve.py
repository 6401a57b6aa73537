"""Decides, once all statements are read, what they are about, and which of them were taken back."""

from collections.abc import Iterator
from datetime import datetime

from worker.importers.records import MICROSECOND, Malformed, Skipped, make_id
from worker.importers.spool import Spool
from worker.importers.xapi_places import Resolver

AT_ONCE = 2000
WAITING = (
    "select seq, file, line, kind, lesson, place from record where place is not null and seq > ? order by seq limit ?"
)
VOIDED = """
select seq, file, line, kind, user, course, lesson, at, iso, id from record
where lower(id) in (select target from void) order by seq
"""
REMAINS = "select 1 from record where user = ? and course = ? and lesson = ? and kind = 'completed' limit 1"


def resolve(spool: Spool) -> Iterator[tuple[int, Malformed | Skipped]]:
    """Decides what waited and takes back what was voided. Yields, with its file, why a record is gone."""
    spool.flush()
    yield from _decide_places(spool)
    yield from _take_back(spool)


def count_unknown_voids(spool: Spool) -> int:
    """Counts the voided statements that the files do not have. To be called before `resolve`."""
    if not spool.select("select 1 from void limit 1"):
        return 0
    return int(spool.select("select count(*) from void where target not in (select lower(id) from record)")[0][0])


def _decide_places(spool: Spool) -> Iterator[tuple[int, Malformed | Skipped]]:
    resolver, last = Resolver(spool), 0
    while rows := spool.select(WAITING, last, AT_ONCE):
        last = rows[-1][0]
        found, gone = [], []
        for seq, file, line, kind, lesson, place in rows:
            course = resolver.decide(place, lesson)
            if isinstance(course, str):
                found.append((course, seq))
                continue
            gone.append((seq,))
            if isinstance(course, Malformed) and kind != "completed":
                course = Skipped("not in a course")
            yield file, Malformed(line, course.reason) if isinstance(course, Malformed) else course
        spool.change("update record set course = ?, place = null where seq = ?", found)
        spool.change("delete from record where seq = ?", gone)


def _take_back(spool: Spool) -> Iterator[tuple[int, Malformed | Skipped]]:
    """Deletes the voided records. Where that leaves a lesson without a completion, an earlier import may have one.

    So the lesson is un-completed a microsecond behind: whatever happened later stays.
    """
    voided = spool.select(VOIDED) if spool.select("select 1 from void limit 1") else []
    spool.change("delete from record where seq = ?", [(row[0],) for row in voided])
    if any(row[3] == "completed" for row in voided):
        spool.select("create index if not exists record_lesson on record (user, course, lesson)")
    for _, file, line, kind, user, course, lesson, at, iso, id in voided:
        yield file, Skipped("voided")
        if kind == "completed" and not spool.select(REMAINS, user, course, lesson):
            behind = (datetime.fromisoformat(iso) + MICROSECOND).isoformat()
            spool.change(
                "insert into record (file, line, kind, user, course, lesson, at, iso, id)"
                " values (?, ?, 'uncompleted', ?, ?, ?, ?, ?, ?)",
                [(file, line, user, course, lesson, at + 1, behind, make_id("voided", id))],
            )
