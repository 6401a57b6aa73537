"""Moves stored offsets: back, so that workers apply events again, or forward, over records that cannot be read.

Moving back is safe at any time, because applying an event again changes nothing.
Moving forward permanently loses events.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import CommitFailedError, KafkaError, for_code

from events.consumer import close_consumer
from worker.errors import SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain_consumer_error
from worker.kafka.topic_id import fetch_topic_id
from worker.kafka.topics import admin_client, fetch_partitions
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.postgres.stream_offsets import StreamOffsets
from worker.settings import Settings
from worker.stream.sink import StoredOffset

Target = Literal["earliest"] | datetime | int


@dataclass(frozen=True, slots=True)
class Move:
    """Describes the move of one partition's stored offset, and the bounds of the partition's log."""

    tp: TopicPartition
    stored: int | None
    first: int  # the log's first offset
    end: int  # the offset after the log's last
    to: int
    recreated: bool = False  # the stored offset counts in a deleted log

    @property
    def skipped(self) -> int:
        """Counts the offsets of this log that would never be applied."""
        of_this_log = self.stored is not None and not self.recreated and self.stored <= self.end
        return max(0, self.to - max(self.first, self.stored or 0 if of_this_log else 0))

    @property
    def changes(self) -> bool:
        """Says whether the stored offset must be written."""
        return self.to != (self.first if self.stored is None else self.stored)


async def rewind(
    settings: Settings,
    to: Target,
    partitions: Collection[int],
    *,
    topic: str | None = None,
    group: str | None = None,
    skip: bool = False,
    dry_run: bool = False,
) -> list[Move]:
    """Moves the stored offsets of these partitions, without any of all, in one transaction; durable on return.

    The stream is `topic` as the consumer group `group` reads it, by default that of lesson events.

    Raises SetupError, and changes nothing, if a worker owns one of the partitions, `to` is not in the log, `to` lies
    ahead and `skip` is false, or a worker began meanwhile. A dry run changes nothing, and workers may run.
    """
    topic, group = topic or settings.lesson_events_topic, group or settings.consumer_group
    existing = await fetch_partitions(settings, topic)
    chosen = _choose_partitions(existing, partitions, topic)
    async with admin_client(settings) as admin, _open_database(settings) as connection:
        if not dry_run:
            await require_no_worker(admin, settings, group, chosen)
        found = await fetch_topic_id(admin._client, topic)
        recreated = await _is_recreated(connection, group, topic, found)
        if recreated and partitions:
            raise SetupError(f"{topic} was recreated: rewind all its partitions at once, without --partition")
        stored = await StreamOffsets(group).stored_offsets(connection, chosen)
        moves = await _plan_moves(settings, stored, to, chosen, recreated)
        _refuse(moves, skip=skip)
        if not dry_run:
            await _commit_to_kafka(settings, group, moves)
            await _move(connection, group, topic, moves, found, existing)
    return moves


def _choose_partitions(existing: Collection[int], wanted: Collection[int], topic: str) -> list[TopicPartition]:
    if unknown := set(wanted) - set(existing):
        raise SetupError(f"{topic} has no partition {', '.join(map(str, sorted(unknown)))}")
    return [TopicPartition(topic, partition) for partition in sorted(wanted or existing)]


@asynccontextmanager
async def _open_database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(settings)
    try:
        with translate_errors(connection):
            yield connection
    finally:
        await close(connection)


async def require_no_worker(
    admin: AIOKafkaAdminClient, settings: Settings, group: str, partitions: Collection[TopicPartition]
) -> None:
    """Raises SetupError if a member of the consumer group owns one of these partitions, or the group is rebalancing."""
    [response] = await admin.describe_consumer_groups([group])
    [(error, _group, state, _type, _protocol, members, *_)] = response.groups
    if error:
        raise for_code(error)(f"consumer group {group}")
    for member_id, _client_id, host, _metadata, assignment in members:
        owned = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
        if state != "Stable" or set(owned) & set(partitions):
            raise SetupError(
                f"worker {member_id} at {host.lstrip('/')} has these partitions (the group is {state}): stop the "
                "workers first. Kafka counts a killed worker until its PROGRESS_SESSION_TIMEOUT_S is over, by "
                f"these settings {settings.session_timeout_s:g} s: try again then"
            )


async def _is_recreated(connection: asyncpg.Connection, group: str, topic: str, found: UUID | None) -> bool:
    known = await connection.fetchval(query("postgres/known_topic"), group, topic)
    return None not in (known, found) and known != found


async def _plan_moves(
    settings: Settings,
    stored: Mapping[TopicPartition, StoredOffset | None],
    to: Target,
    partitions: Collection[TopicPartition],
    recreated: bool,
) -> list[Move]:
    # Workers read committed records only: for them, the log ends where an open transaction begins.
    consumer = AIOKafkaConsumer(**client_arguments(settings), isolation_level="read_committed")
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(partitions)
        end = await consumer.end_offsets(partitions)
        targets = await _find_targets(consumer, to, first, end)
    finally:
        await close_consumer(consumer)
    offsets = {tp: offset and offset.next for tp, offset in stored.items()}
    return [Move(tp, offsets[tp], first[tp], end[tp], targets[tp], recreated) for tp in partitions]


async def _find_targets(
    consumer: AIOKafkaConsumer, to: Target, first: dict[TopicPartition, int], end: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    if to == "earliest":
        return first
    if isinstance(to, int):
        return dict.fromkeys(first, to)
    found = await consumer.offsets_for_times(dict.fromkeys(first, int(to.timestamp() * 1000)))
    return {tp: found[tp].offset if found[tp] else end[tp] for tp in first}


def _refuse(moves: Collection[Move], *, skip: bool) -> None:
    for move in moves:
        where = f"{move.tp.topic}[{move.tp.partition}]"
        if not move.first <= move.to <= move.end:
            raise SetupError(f"{where} begins at {move.first} and ends at {move.end}: offset {move.to} is not in it")
        if move.skipped and not skip:
            raise SetupError(
                f"{where}: from {move.stored or move.first} to {move.to}, {move.skipped} events would never be "
                "applied. To skip them, add --skip"
            )


async def _commit_to_kafka(settings: Settings, group: str, moves: Collection[Move]) -> None:
    """Moves Kafka's committed offsets too, before the stored ones: ahead of these they would mean lost commits.

    Kafka refuses where a worker began meanwhile. That worker takes the move for lost commits, which is harmless.
    """
    consumer = AIOKafkaConsumer(**client_arguments(settings), group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign([move.tp for move in moves])
        await consumer.commit(
            {move.tp: move.to if move.stored is None else min(move.stored, move.to) for move in moves}
        )
    except CommitFailedError:
        pass
    except KafkaError as error:
        raise explain_consumer_error(error, settings) from error
    finally:
        await close_consumer(consumer)


async def _move(
    connection: asyncpg.Connection,
    group: str,
    topic: str,
    moves: Collection[Move],
    found: UUID | None,
    existing: Collection[int],
) -> None:
    async with connection.transaction():
        await connection.execute(query("repair/forget_gone_partitions"), group, topic, list(existing))
        for move in moves:
            if not move.changes:
                continue
            arguments = (group, move.tp.topic, move.tp.partition, move.stored, move.to)
            if await connection.execute(query("repair/move_offset"), *arguments) == "INSERT 0 0":
                raise SetupError(
                    f"a worker has moved {move.tp.topic}[{move.tp.partition}] meanwhile: stop the workers first. "
                    "Nothing was changed"
                )
        if found is not None:
            await connection.execute(query("postgres/know_topic"), group, topic, found)
