"""Plays workers that are killed, frozen, restarted and scaled."""

import asyncio
import signal

from tests.faults.fault import fault
from tests.faults.scene import PARTITIONS, SESSION_TIMEOUT_S, Scene
from tests.faults.supervised import SupervisedWorker
from tests.processes import eventually

FROZEN = "T"  # the state of a process after SIGSTOP


async def kill_at(scene: Scene, step: str, at: int) -> None:
    """Kills one worker of two at this step; its supervisor starts it again."""
    scene.publish()
    victim = scene.start(f"{step}:{at}")
    scene.start()
    await wait_until_killed(scene, victim)
    scene.mark_over()
    await scene.pause()


async def wait_until_killed(scene: Scene, victim: SupervisedWorker) -> None:
    """Waits until a worker that was to be killed at a step has been there."""
    await victim.wait_for_exits()
    scene.prove(victim.exits[0] == -signal.SIGKILL, f"the worker ended with {victim.exits[0]}")


@fault(rounds=3)
async def killed_after_fetch(scene: Scene) -> None:
    """worker SIGKILL after a fetch"""
    await kill_at(scene, "kill-after-fetch", scene.rng.randint(1, 20))


@fault(rounds=3)
async def killed_after_commit(scene: Scene) -> None:
    """worker SIGKILL after the transaction, before the offsets are committed"""
    await kill_at(scene, "kill-after-commit", scene.rng.randint(1, 20))


@fault(rounds=3)
async def killed_after_dead_letters(scene: Scene) -> None:
    """worker SIGKILL after dead letters were written, before their batch is applied"""
    scene.learners.odd_share = 0.1
    await kill_at(scene, "kill-after-dead-letters", scene.rng.randint(1, 10))


@fault(rounds=3)
async def killed_after_produce(scene: Scene) -> None:
    """worker SIGKILL after the relay's produce, before the row is deleted"""
    await kill_at(scene, "kill-after-produce", scene.rng.randint(1, 10))


@fault(rounds=3)
async def killed_in_rebalance(scene: Scene) -> None:
    """worker SIGKILL during a rebalance"""
    scene.publish()
    step, at = scene.rng.choice([("kill-when-revoked", 1), ("kill-when-assigned", 2)])
    victim = scene.start(f"{step}:{at}")
    await scene.wait_until_ready()
    scene.start()  # its arrival causes the rebalance
    await wait_until_killed(scene, victim)
    scene.mark_over()
    await scene.pause()


@fault()
async def killed_at_random(scene: Scene) -> None:
    """one of two workers SIGKILLed, six times at random"""
    scene.publish()
    scene.start()
    scene.start()
    await scene.wait_until_ready()
    for _ in range(6):
        await scene.pause(0.3, 3)
        await scene.rng.choice(scene.workers).kill()
    kills = sum(worker.exits.count(-signal.SIGKILL) for worker in scene.workers)
    scene.prove(kills == 6, f"{kills} of 6 kills")


@fault()
async def terminated(scene: Scene) -> None:
    """worker SIGTERM, three times"""
    scene.publish()
    worker = scene.start()
    scene.start()
    for times in range(1, 4):
        await scene.wait_until_ready()
        await scene.pause()
        worker.signal(signal.SIGTERM)
        await worker.wait_for_exits(times)
    scene.prove(len(worker.exits) == 3, "the worker did not end three times")
    if any(worker.exits):
        scene.unexpected.append(f"a worker that got SIGTERM exited with {worker.exits}")


@fault(rounds=3)
async def zombie(scene: Scene) -> None:
    """SIGSTOP with a batch in hand past the session timeout, then SIGCONT"""
    await thaw_after_partitions_moved(scene, "freeze-before-apply")


async def thaw_after_partitions_moved(scene: Scene, step: str) -> None:
    scene.publish()
    victim = scene.start(f"{step}:{scene.rng.randint(3, 15)}")

    async def frozen() -> bool:
        return process_state(victim) == FROZEN

    await eventually(frozen)
    before = await scene.read_stored_offsets()
    scene.start()

    async def overtaken() -> bool:
        now = await scene.read_stored_offsets()
        return len(now) > 0 and all(now[p] > before.get(p, 0) + 50 for p in now)

    await eventually(overtaken)
    victim.signal(signal.SIGCONT)
    scene.mark_over()

    async def stale_batch_refused() -> bool:
        return await victim.metric("progress_offsets_moved_elsewhere_total") > 0

    await scene.wait_for_proof(stale_batch_refused, 20)


def process_state(worker: SupervisedWorker) -> str:
    with open(f"/proc/{worker.process.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


@fault()
async def frozen_at_random(scene: Scene) -> None:
    """SIGSTOP at random past the session timeout, then SIGCONT, twice"""
    scene.publish()
    scene.start()
    scene.start()
    await scene.wait_until_ready()
    for worker in scene.workers:
        await scene.pause()
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_TIMEOUT_S + scene.rng.uniform(0.5, 3))
        scene.prove(process_state(worker) == FROZEN, "the worker was not frozen")
        worker.signal(signal.SIGCONT)


async def rolling_restart(scene: Scene) -> None:
    for worker in scene.workers:
        await scene.pause()
        times = len(worker.exits) + 1
        worker.signal(signal.SIGTERM)
        await worker.wait_for_exits(times)
        await scene.wait_until_ready(worker)
    scene.prove(all(worker.exits for worker in scene.workers), "a worker was not restarted")


@fault()
async def rolling_restart_static(scene: Scene) -> None:
    """rolling restart of three workers with static membership: the others keep their partitions"""
    scene.publish()
    for number in range(3):
        scene.start(group_instance_id=f"{scene.settings.consumer_group}-{number}", session_timeout_s=20)
    await scene.wait_until_ready()
    bystander = scene.workers[2]

    async def settled() -> bool:
        return sum([await worker.partitions() for worker in scene.workers]) == 4

    await eventually(settled)
    before = await bystander.metric("progress_rebalances_total")
    for worker in scene.workers[:2]:
        worker.signal(signal.SIGTERM)
        await worker.wait_for_exits()
        await scene.wait_until_ready(worker)
    scene.prove(all(worker.exits for worker in scene.workers[:2]), "a worker was not restarted")
    if await bystander.metric("progress_rebalances_total") != before:
        scene.unexpected.append("a restart with static membership disturbed the others")
    scene.workers[2].signal(signal.SIGTERM)


@fault()
async def rolling_restart_dynamic(scene: Scene) -> None:
    """rolling restart of three workers without static membership"""
    scene.publish()
    for _ in range(3):
        scene.start()
    await scene.wait_until_ready()
    await rolling_restart(scene)


@fault()
async def scaled(scene: Scene) -> None:
    """scaled from 1 to 4 to 2 workers under load"""
    scene.publish()
    scene.start()
    await scene.wait_until_ready()
    for _ in range(3):
        scene.start()
    await scene.wait_until_ready()

    async def each_has_one() -> bool:
        return [await worker.partitions() for worker in scene.workers] == [1, 1, 1, 1]

    await scene.wait_for_proof(each_has_one)
    await scene.pause()
    await asyncio.gather(*(worker.stop() for worker in scene.rng.sample(scene.workers, 2)))
    await scene.pause()


LONG_SESSION_S = 60.0  # so long that no partition moves because a session has ended


@fault(session_timeout_s=LONG_SESSION_S)
async def scaled_static(scene: Scene) -> None:
    """scaled from 1 to 4 to 2 to 1 workers with static membership: who stays keeps its partitions, also in a restart"""
    scene.publish()
    for number in range(4):
        leaves = "always" if number > 1 else "never"
        scene.start(group_instance_id=f"{scene.settings.consumer_group}-{number}", leave_on_stop=leaves)
        if number == 0:
            await wait_until_shared(scene, scene.workers)
    await wait_until_shared(scene, scene.workers)
    await scene.pause()
    staying, restarted, *leaving = scene.workers
    before = [await worker.owned() for worker in (staying, restarted)]
    await asyncio.gather(*(worker.stop() for worker in leaving))
    await wait_until_shared(scene, [staying, restarted])
    await require_kept(scene, before, [staying, restarted])

    rebalances = await staying.metric("progress_rebalances_total")
    restarted.settings = restarted.settings.model_copy(update={"leave_on_stop": "always"})
    restarted.signal(signal.SIGTERM)
    await restarted.wait_for_exits()
    await wait_until_shared(scene, [staying, restarted])
    if await staying.metric("progress_rebalances_total") != rebalances:
        scene.unexpected.append("a restart with static membership disturbed the other")
    before = [await staying.owned()]
    await restarted.stop()
    await wait_until_shared(scene, [staying])
    await require_kept(scene, before, [staying])


async def wait_until_shared(scene: Scene, workers: list[SupervisedWorker]) -> None:
    """Waits until these workers have all partitions, each as many as any other, which is a proof."""

    async def shared() -> bool:
        owned = [await worker.owned() for worker in workers]
        return sorted(p for each in owned for p in each) == list(range(PARTITIONS)) and len(set(map(len, owned))) == 1

    await scene.wait_for_proof(shared, LONG_SESSION_S / 2)


async def require_kept(scene: Scene, before: list[set[int]], workers: list[SupervisedWorker]) -> None:
    for had, worker in zip(before, workers, strict=True):
        if not had <= (now := await worker.owned()):
            scene.unexpected.append(f"{worker.log.name} had {had} and has {now} since others left")


@fault()
async def more_workers_than_partitions(scene: Scene) -> None:
    """six workers on four partitions, two of them SIGKILLed"""
    scene.publish()
    for _ in range(6):
        scene.start()
    await scene.wait_until_ready()

    async def two_have_none() -> bool:
        return sorted([await worker.partitions() for worker in scene.workers]) == [0, 0, 1, 1, 1, 1]

    await scene.wait_for_proof(two_have_none)
    for worker in scene.rng.sample(scene.workers, 2):
        await scene.pause()
        await worker.kill()
