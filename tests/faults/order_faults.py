"""Plays workers between which the course events of one learner could lose their order."""

import signal

from tests.faults.fault import fault
from tests.faults.recovery_faults import spread
from tests.faults.scene import Scene
from tests.faults.worker_faults import FROZEN, process_state
from tests.processes import eventually

NEWER_WAITS = """
select from outbox older join outbox newer using (aggregateid)
where newer.seq > older.seq and newer.source_partition <> older.source_partition limit 1
"""


@fault()
async def frozen_before_publishing(scene: Scene) -> None:
    """learners in two partitions; one of two workers SIGSTOPped with course events in hand, while the other goes on"""
    await freeze_before_publishing(scene)


async def freeze_before_publishing(scene: Scene, *patch_of_the_other: str) -> None:
    spread(scene)
    scene.publish()
    victim = scene.start(f"freeze-before-produce:{scene.rng.randint(3, 10)}")
    scene.start(*patch_of_the_other)

    async def frozen() -> bool:
        return process_state(victim) == FROZEN

    async def newer_waits_for_older() -> bool:
        return bool(await scene.sql(NEWER_WAITS))

    await eventually(frozen)
    await scene.wait_for_proof(newer_waits_for_older)
    await scene.pause(4, 6)
    victim.signal(signal.SIGCONT)
    scene.mark_over()
