"""Measures one section: how long an event waits when workers come and go."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg
from aiokafka.errors import KafkaError

from tests.bench.bench import Bench, connected
from tests.bench.drain import require_running, stop
from tests.bench.learners import Rows
from tests.bench.result import Figure, Result
from tests.bench.steady import LOOK_EVERY_S, Load, read_applied, under_load
from tests.processes import WorkerProcess
from worker.operations.cluster import Cluster
from worker.settings import Settings

BEFORE = {"group_heartbeat_s": 3, "session_timeout_s": 10, "leave_on_stop": "never"}
CALM_S, CALM_FOR_S = 0.5, 2.0  # a step is over when no event has waited this long, for this long
LONGEST_STEP_S = 120.0


@dataclass(frozen=True, slots=True)
class Contender:
    """Says how a process is started. Those with a static id that leave for good are told so beforehand."""

    changed: Mapping[str, object] = field(default_factory=dict)
    static: bool = False
    module: tuple[str, ...] = ("worker.cli", "worker")

    def settings(self, group: Settings, number: int) -> Settings:
        """Builds the settings of process `number` of a group, of which 0 and 1 stay."""
        leaves = {"leave_on_stop": "always" if number > 1 else "never"}
        ids = {"group_instance_id": f"{group.consumer_group}-{number}"}
        return group.model_copy(update={**(leaves | ids if self.static else {}), **self.changed})


PLAIN, NOW, NOW_STATIC = "plain aiokafka", "now", "now, static ids"
CONTENDERS = {
    PLAIN: Contender(module=("tests.bench.peers.aiokafka_plain",)),
    "before": Contender(BEFORE),
    "before, static ids": Contender(BEFORE, static=True),
    NOW: Contender(),
    NOW_STATIC: Contender(static=True),
}


Step: TypeAlias = Callable[["Group"], Awaitable[None]]


@dataclass
class Group:
    """Holds the processes of one contender, by number, under a load."""

    contender: Contender
    settings: Settings
    load: Load
    connection: asyncpg.Connection
    cluster: Cluster
    processes: dict[int, WorkerProcess] = field(default_factory=dict)

    def start(self, number: int) -> None:
        settings = self.contender.settings(self.settings, number)
        self.processes[number] = WorkerProcess(settings, module=self.contender.module)

    async def stop(self, *numbers: int) -> None:
        """Sends SIGTERM to all of them at once, and waits for their ends."""
        stopping = [self.processes.pop(number) for number in numbers]
        try:
            await asyncio.gather(*map(stop, stopping))
        finally:
            for process in stopping:
                process.kill()
                process.close()

    def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.kill()
        process.close()

    async def play(self, take: Step, least_s: float) -> float:
        """Plays a step, and waits until it is over; returns the longest that an event has waited."""
        taken = asyncio.create_task(take(self), name=take.__name__)
        try:
            longest = await self._watch(taken, least_s)
        finally:
            taken.cancel()  # it is done, but for an interrupt and a step that takes too long
            await asyncio.wait({taken})
        return longest

    async def _watch(self, taken: asyncio.Task[None], least_s: float) -> float:
        began = calm_since = time.monotonic()
        longest = 0.0
        while (now := time.monotonic()) - began < least_s or now - calm_since < CALM_FOR_S or not taken.done():
            require_running(list(self.processes.values()))
            if now - began > LONGEST_STEP_S:
                return math.inf
            waits = self.load.look(await read_applied(self.connection, self.settings))
            waiting = max(waits.values(), default=math.inf)
            longest = max(longest, waiting) if waits else longest
            if waiting > CALM_S or not (taken.done() and await self.has_settled()):
                calm_since = now
            await asyncio.sleep(LOOK_EVERY_S)
        await taken
        return longest

    async def has_settled(self) -> bool:
        """Tells whether the processes that run, and no others, are the members of the group, each with partitions."""
        try:
            group = await self.cluster.read_group()
        except KafkaError as error:
            if not error.retriable:  # such as a coordinator that is not there yet
                raise
            return False
        shares = [len(member.partitions) for member in group.members]
        return group.state == "Stable" and len(shares) == len(self.processes) and all(shares)

    async def count_rebalances(self) -> float:
        """Counts how often the worker that always stays was given partitions."""
        return sum((await self.processes[0].metric("progress_rebalances_total")).values())


async def begin(group: Group) -> None:
    group.start(0)


async def grow(group: Group) -> None:
    for number in (1, 2, 3):
        group.start(number)


async def shrink(group: Group) -> None:
    await group.stop(3, 2)


async def restart(group: Group) -> None:
    await group.stop(1)
    group.start(1)


async def kill_and_start(group: Group) -> None:
    group.kill(1)
    group.start(1)


async def kill(group: Group) -> None:
    group.kill(1)


STEPS: dict[str, Step] = {
    "1 → 4 workers at once": grow,
    "4 → 2 by SIGTERM": shrink,
    "one of two restarted (SIGTERM, start)": restart,
    "one of two SIGKILLed, started again at once": kill_and_start,
    "one of two SIGKILLed": kill,
}
WANTED = (
    (NOW, "4 → 2 by SIGTERM"),
    (NOW_STATIC, "4 → 2 by SIGTERM"),
    (NOW, "one of two restarted (SIGTERM, start)"),
    (NOW_STATIC, "one of two restarted (SIGTERM, start)"),
    (NOW, "one of two SIGKILLed"),
)


async def scaling(bench: Bench) -> Result:
    """Workers come and go while events come at a steady rate in twelve partitions: 600 a second.

    The table has the longest that an event waited, from when Kafka had it until it was applied; of several rounds the
    longest. Before: a heartbeat every 3 s, a session of 10 s, and no static member leaves. Now: the defaults; with
    static ids, those who leave for good have PROGRESS_LEAVE_ON_STOP=always, and the one that is restarted has `never`.
    Plain aiokafka: a consumer with the session of Kafka's own (45 s) and automatic commits, which does nothing with an
    event. A step ends when for two seconds the group had settled, and no event waited for half a second.
    """
    longest: dict[str, dict[str, float]] = {name: defaultdict(float) for name in bench.sizes.scaled}
    rows = Rows(bench.sizes.rows)
    disturbed = 0.0
    async with bench.filled(rows) as database:
        for number in range(bench.sizes.scaling_rounds):
            for name, of_steps in longest.items():
                async with opened(bench, database, rows, CONTENDERS[name]) as group:
                    disturbed += await play(bench, name, group, of_steps)
            bench.say(f"  round {number + 1} of {bench.sizes.scaling_rounds}")
    result = Result("Scaling", ("what happens", *longest))
    for step in list(STEPS)[: bench.sizes.scaling_steps]:
        result.rows.append((step, *(format_wait(of_steps[step]) for of_steps in longest.values())))
    figures = {(name, step): longest[name].get(step) for name, step in WANTED if name in longest}
    result.figures = {f"{name}: {step}": Figure(wait) for (name, step), wait in figures.items() if wait is not None}
    if NOW_STATIC in longest:
        result.figures["rebalances of the other"] = Figure(disturbed)
    return result


def format_wait(seconds: float) -> str:
    return f"{seconds:.1f} s" if math.isfinite(seconds) else f"more than {LONGEST_STEP_S:.0f} s"


@asynccontextmanager
async def opened(bench: Bench, database: Settings, rows: Rows, contender: Contender) -> AsyncIterator[Group]:
    """Yields a group of one process under load, in a database and topics of its own."""
    async with (
        bench.copy(database) as fresh,
        bench.topics(fresh) as settings,
        connected(settings) as connection,
        under_load(settings, rows, bench.sizes.scaling_rate) as load,
    ):
        group = Group(contender, settings, load, connection, Cluster(settings))
        await group.cluster.connect()
        try:
            await group.play(begin, 0)
            yield group
        finally:
            await group.cluster.close()
            for number in list(group.processes):
                group.kill(number)


async def play(bench: Bench, name: str, group: Group, longest: dict[str, float]) -> float:
    """Plays the steps. Returns how often a restart with static ids made the other worker lose its partitions."""
    disturbed = 0.0
    for step, take in list(STEPS.items())[: bench.sizes.scaling_steps]:
        watched = take is restart and name == NOW_STATIC
        before = await group.count_rebalances() if watched else 0
        wait = await group.play(take, bench.sizes.scaling_step_s)
        longest[step] = max(longest[step], wait)
        disturbed += await group.count_rebalances() - before if watched else 0
        bench.say(f"  {name}, {step}: {format_wait(wait)}")
    return disturbed
