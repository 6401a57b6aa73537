"""Runs `course-progress` so that it fails at a step (a kill) or breaks a promise (a sabotage), for the fault suite.

python -m tests.faults.launch kill-after-fetch:3 worker
"""

# ruff: noqa: B010 -- the replacements do not have the types of the methods they replace
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

from events.producer import OutgoingRecord, Producer
from worker.cli import main
from worker.courses import recount
from worker.courses.recount import Recount
from worker.deadletters.writer import DeadLetterWriter
from worker.intake.intake import Intake
from worker.intake.lane import Lane
from worker.intake.lost_commits import LostCommits
from worker.intake.partitions import Partitions
from worker.outbox import relay
from worker.outbox.relay import Relay
from worker.postgres import connection as database
from worker.progress import store
from worker.progress.store import Store
from worker.settings import settings
from worker.stream.outcome import Rejected
from worker.stream.sink import Applied

Method: TypeAlias = Callable[..., Awaitable[Any]]


def kill(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)


def _kill_after(owner: type, name: str, at: int, does: Callable[[Any], bool]) -> None:
    """Kills the process when the method has returned a value for which `does` is true for the `at`-th time."""
    method: Method = getattr(owner, name)
    left = at

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        result = await method(*arguments, **named)
        left -= does(result)
        if left <= 0:
            kill()
        return result

    setattr(owner, name, wrapped)


def kill_after_fetch(at: int) -> None:
    _kill_after(Lane, "_fetch", at, lambda batch: bool(batch.spans))


def kill_after_commit(at: int) -> None:
    _kill_after(Store, "apply", at, lambda outcome: isinstance(outcome, Applied))


def kill_after_dead_letters(at: int) -> None:
    """Kills after the acknowledgement of dead letters, before their batch is applied."""
    _kill_after(DeadLetterWriter, "_send", at, lambda _: True)


def kill_after_produce(at: int) -> None:
    """Kills after the acknowledgement of course events, before their rows are deleted."""
    topic = settings().course_events_topic
    send_all: Method = Producer.send_all
    left = at

    async def wrapped(self: Producer, records: Sequence[OutgoingRecord]) -> Any:
        nonlocal left
        stored = await send_all(self, records)
        left -= records[0].topic == topic
        if left <= 0:
            kill()
        return stored

    setattr(Producer, "send_all", wrapped)


def kill_in_recount(at: int) -> None:
    """Kills in the middle of a course, with a chunk written that is not committed. Its chunks are small."""
    setattr(recount, "CHUNK", 5)
    judge: Method = Recount._judge
    left = at

    async def wrapped(self: Recount, connection: Any, course: Any, users: list[Any]) -> Any:
        nonlocal left
        judged = await judge(self, connection, course, users)
        left -= course["after_user"] is not None
        if left <= 0:
            kill()
        return judged

    setattr(Recount, "_judge", wrapped)


def kill_before_effect_commit(at: int) -> None:
    """Kills with an effect performed, such as a certificate signed, whose transaction is not committed."""
    from worker.effects.performer import Performer  # a worker needs nothing of it

    settle: Method = Performer._settle
    left = at

    async def wrapped(self: Performer, connection: Any, kind: str, planned: Any, later: Any) -> None:
        nonlocal left
        await settle(self, connection, kind, planned, later)
        left -= later is None
        if left <= 0:
            kill()

    setattr(Performer, "_settle", wrapped)


def kill_when_revoked(at: int) -> None:
    _kill_before("on_partitions_revoked", at)


def kill_when_assigned(at: int) -> None:
    _kill_before("on_partitions_assigned", at)


def _kill_before(listener: str, at: int) -> None:
    """Kills in the `at`-th rebalance that concerns partitions of this worker."""
    method: Method = getattr(Intake, listener)
    left = at

    async def wrapped(intake: Intake, partitions: Any) -> None:
        nonlocal left
        left -= bool(partitions)
        if left <= 0:
            kill()
        await method(intake, partitions)

    setattr(Intake, listener, wrapped)


def freeze_before_apply(at: int) -> None:
    """Stops (SIGSTOP) with a batch in hand, whose expected offsets are then stale."""
    apply: Method = Store.apply
    left = at

    async def wrapped(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            kill(signal.SIGSTOP)
        return await apply(*arguments)

    setattr(Store, "apply", wrapped)


def freeze_before_produce(at: int) -> None:
    """Stops (SIGSTOP) with course events in hand whose rows are committed and not published."""
    send_all: Method = Producer.send_all
    left = at

    async def wrapped(self: Producer, records: Sequence[OutgoingRecord]) -> Any:
        nonlocal left
        left -= records[0].topic == settings().course_events_topic
        if left == 0:
            left = -1
            kill(signal.SIGSTOP)
        return await send_all(self, records)

    setattr(Producer, "send_all", wrapped)


def keep_in_outbox(_: int) -> None:
    """Publishes nothing, as a worker that dies before it does."""

    async def relay_nothing(_: Relay, orphans: bool) -> bool:
        return True

    setattr(Relay, "_relay_all", relay_nothing)


# Sabotages: with any of these the suite must fail.


def _rewrite_statement(module: ModuleType, name: str, old: str, new: str) -> None:
    """Has the module execute another statement than the one of this name."""
    original = database.query

    def query(asked: str) -> str:
        text = original(asked)
        if asked == name:
            assert old in text, f"worker/{name}.sql has changed: the sabotage must follow"
            return text.replace(old, new)
        return text

    for reader in (module, database):  # whose `fetch_one` reads it, too
        setattr(reader, "query", query)


def without_compare_and_swap(at: int) -> None:
    """Applies the batch and sets the offset, whatever offset is stored."""
    _rewrite_statement(store, "progress/apply", "bool_and(found is not distinct from expected)", "bool_and(true)")
    freeze_before_apply(at)


def without_the_outboxs_transaction(at: int) -> None:
    """Writes announcements after the commit, in a statement of their own; the worker dies in between."""
    _rewrite_statement(store, "progress/apply", "insert into outbox (", "insert into pg_temp.announcements (")
    apply: Method = Store.apply
    left = at

    async def wrapped(self: Store, *arguments: Any) -> Any:
        nonlocal left
        connection = await self._ensure_connected()
        await connection.execute(
            "create temp table if not exists announcements (like public.outbox including identity including defaults)"
        )
        outcome = await apply(self, *arguments)
        left -= await connection.fetchval("select count(*) > 0 from pg_temp.announcements")  # a reset has its own
        if left <= 0:
            kill()
        columns = "id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition"
        await connection.execute(f"insert into outbox ({columns}) select {columns} from pg_temp.announcements")
        await connection.execute("truncate pg_temp.announcements")
        return outcome

    setattr(Store, "apply", wrapped)


def without_waiting_for_dead_letters(at: int) -> None:
    """Applies the batch while its dead letters are still on their way; then the worker dies."""
    write: Method = DeadLetterWriter.write
    under_way: set[asyncio.Task[None]] = set()

    async def soon(self: DeadLetterWriter, rejected: list[Rejected]) -> None:
        await asyncio.sleep(1)
        await write(self, rejected)

    async def wrapped(self: DeadLetterWriter, rejected: list[Rejected]) -> None:
        under_way.add(asyncio.create_task(soon(self, rejected)))

    setattr(DeadLetterWriter, "write", wrapped)
    kill_after_commit(at)


def newest_first(_: int) -> None:
    """Publishes the rows of each round in the wrong order, and collects them for a while before."""
    _rewrite_statement(relay, "outbox/next_rows", "\norder by seq\n", "\norder by seq desc\n")
    publish_round: Method = Relay._publish_round

    async def wrapped(self: Relay, connection: Any) -> bool:
        await asyncio.sleep(2)
        return await publish_round(self, connection)

    setattr(Relay, "_publish_round", wrapped)


def without_waiting_for_older_rows(_: int) -> None:
    """Publishes a learner's course events as soon as their partition's turn comes."""
    _rewrite_statement(relay, "outbox/next_rows", "where not exists (", "where true or not exists (")


def without_the_epoch(_: int) -> None:
    """Writes a batch that was folded without knowledge of a version, whatever epoch is stored."""
    _rewrite_statement(store, "progress/apply", "(select epoch from known) =", "(select epoch from known) >=")


def without_looking_at_offsets(_: int) -> None:
    """Believes its memory: it never compares the stored offsets with those that it knows."""

    async def look_at_nothing(_: Partitions) -> None:
        pass

    setattr(Partitions, "look_at_offsets", look_at_nothing)
    setattr(LostCommits, "go_on", lambda *_, **__: None)


STEPS = [
    kill_after_fetch,
    kill_after_commit,
    kill_after_dead_letters,
    kill_after_produce,
    kill_in_recount,
    kill_before_effect_commit,
    kill_when_revoked,
    kill_when_assigned,
    freeze_before_apply,
    freeze_before_produce,
    keep_in_outbox,
    without_compare_and_swap,
    without_the_outboxs_transaction,
    without_waiting_for_dead_letters,
    newest_first,
    without_waiting_for_older_rows,
    without_the_epoch,
    without_looking_at_offsets,
]

if __name__ == "__main__":
    name, _, at = sys.argv.pop(1).partition(":")
    {step.__name__.replace("_", "-"): step for step in STEPS}[name](int(at))
    main()
