"""Defines a fault, plays one round of it, and holds the outcome."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.faults.opening import open_scene
from tests.faults.scene import Scene
from tests.faults.servers import Servers

Happening: TypeAlias = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """Describes a fault. `happens` starts load and workers, makes the trouble and proves it; then it is over."""

    happens: Happening
    rounds: int
    settings: dict[str, object]
    brokers: int = 1
    missing: str = ""  # what this machine lacks, so that the fault cannot be played

    @property
    def name(self) -> str:
        return self.happens.__name__.replace("_", "-")

    @property
    def text(self) -> str:
        return (self.happens.__doc__ or "").strip().rstrip(".")


FAULTS: list[Fault] = []


def fault(
    *, rounds: int = 2, brokers: int = 1, missing: str = "", **settings: object
) -> Callable[[Happening], Happening]:
    """Adds a fault to the suite; `settings` are those of its workers."""

    def add(happens: Happening) -> Happening:
        FAULTS.append(Fault(happens, rounds, settings, brokers, missing))
        return happens

    return add


@dataclass
class Outcome:
    """Holds the outcome of one round, or of several rounds of the same fault added up."""

    events: int = 0
    lost: int = 0
    wrong_rows: int = 0
    completions_missed: int = 0
    published_twice: int = 0
    dead_letters_missing: int = 0
    recovery_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # why something may be lost
    broken: list[str] = field(default_factory=list)  # a line for each broken promise

    def add(self, other: "Outcome") -> None:
        for name in ("events", "lost", "wrong_rows", "completions_missed", "published_twice", "dead_letters_missing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recovery_s += other.recovery_s
        self.broken += other.broken
        self.notes += [note for note in other.notes if note not in self.notes]


async def play(servers: Servers, fault: Fault, seed: int) -> Outcome:
    """Plays one round. A scene that does not recover in time is a broken promise, not an error."""
    with servers.brokers(fault.brokers) as changed:
        async with open_scene(servers, seed, **changed, **fault.settings) as stage:
            return await _play_on(stage, fault)


async def _play_on(stage: Scene, fault: Fault) -> Outcome:
    loop = asyncio.get_running_loop()
    # asyncio would only log an error that no task handles.
    loop.set_exception_handler(lambda _, context: stage.unexpected.append(str(context)))
    try:
        outcome = await _play_round(stage, fault)
    except Exception:  # noqa: BLE001 -- the suite goes on with the next fault
        outcome = Outcome(broken=[traceback.format_exc()])
    finally:
        loop.set_exception_handler(None)
    if outcome.broken:
        outcome.broken += stage.last_words()
    return outcome


async def _play_round(stage: Scene, fault: Fault) -> Outcome:
    await fault.happens(stage)
    if not stage.proofs:
        stage.unexpected.append("the fault does not prove that it happened")
    over = stage.over_at or time.monotonic()
    await stage.wait_until_recovered()
    recovery_s = time.monotonic() - over
    await stage.come_to_rest()
    found = await stage.compare()
    status, said = await stage.run("verify")
    return Outcome(
        events=stage.load.acknowledged,
        lost=len(found.lost) + len(stage.deleted),
        wrong_rows=len(found.wrong_rows),
        completions_missed=len(found.completions_missed),
        published_twice=found.published_twice,
        dead_letters_missing=len(found.dead_letters_missing),
        recovery_s=[recovery_s],
        notes=[stage.lost_with_reason] if stage.deleted else [],
        broken=[
            *found.all[:20],
            *stage.unexpected,
            *stage.unexpected_exits(),
            *([f"verify: {said}"] if status else []),
        ],
    )
