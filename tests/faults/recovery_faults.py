"""Faults after which course events must still tell the truth: lost commits, and learners in two partitions."""

import asyncio
import signal

from tests.faults.fault import fault
from tests.faults.load import Sent, place
from tests.faults.postgres_faults import open_standby, promote
from tests.faults.scene import PARTITIONS, Scene


@fault()
async def failed_over_asynchronously(scene: Scene) -> None:
    """PostgreSQL's asynchronous standby promoted without the last seconds of commits; then nobody learns"""
    await lose_commits(scene)
    await scene.require("progress_commits_lost_total")


@fault()
async def failed_over_while_stopped(scene: Scene) -> None:
    """PostgreSQL's asynchronous standby promoted without the last seconds of commits, while no worker runs"""
    await lose_commits(scene, stopped=True)
    scene.start()
    scene.start()
    await scene.require("progress_commits_lost_total")


async def lose_commits(scene: Scene, *patch: str, stopped: bool = False) -> None:
    """Loses the last seconds of commits under two workers, or after they have stopped, and publishes nothing more."""
    scene.load.commits_lost = True
    async with open_standby(scene) as standby:
        scene.publish()
        scene.start(*patch)
        scene.start(*patch)
        await scene.wait_until_ready()
        await scene.pause()
        await scene.run_blocking(standby.stop, signal.SIGINT)  # from here on it lacks what is committed
        await scene.pause(1, 3)
        await scene.come_to_rest()
        if stopped:
            await asyncio.gather(*(worker.stop() for worker in scene.workers))
        await scene.run_blocking(scene.servers.database.stop, signal.SIGKILL)
        await scene.run_blocking(standby.start)
        await promote(scene, standby)
        scene.postgres.upstream = standby.port
    scene.mark_over()


@fault()
async def learners_in_two_partitions(scene: Scene) -> None:
    """each learner's events in two partitions, of two workers; one dies between commit and publication, twice"""
    spread(scene)
    await scene.start_two_workers()
    for _ in range(2):
        await scene.start("kill-after-commit:30").wait_for_exits()
    scene.mark_over()
    partitions = {(event.user_id, origin[1]) for origin, (event, _) in scene.load.good}
    scene.prove(len(partitions) > len({user for user, _ in partitions}), "each learner is in one partition")


def spread(scene: Scene) -> None:
    """Gives each learner two partitions, as two publishers with different partitioners do."""

    def choose(sent: Sent) -> int | None:
        if sent.happened is None:
            return None
        return (sent.happened[0].user_id.int + scene.rng.randrange(2)) % PARTITIONS

    scene.load.source = place(iter(scene.learners), choose)
