"""Plays an upgrade: the release before, whose workers run while `migrate` changes the tables, and beside new ones."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.bench.against import ROOT, NotMeasured, checked_out, git
from tests.faults.comparison import AUDIT
from tests.faults.fault import fault
from tests.faults.scene import Scene
from tests.processes import environment

BEFORE = "2e1d2fd"  # the last commit whose ids of course events have no instant in them


def explain_missing() -> str:
    """Says why the release before cannot be played; empty when it can."""
    try:
        git(ROOT, "cat-file", "-e", f"{BEFORE}^{{commit}}")
    except (NotMeasured, OSError) as error:
        return f"no release before this one: it takes a git repository with its history ({error})"
    return ""


async def begin_with_tables_of(scene: Scene, checkout: Path) -> None:
    """Creates the scene's database anew, as the `migrate` of that checkout makes it."""
    await scene.administer(f"drop database {scene.database} with (force)")
    await scene.administer(f"create database {scene.database}")
    command = [sys.executable, "-m", "worker.cli", "migrate"]
    ended = await scene.run_blocking(
        lambda: subprocess.run(command, cwd=checkout, env=environment(scene.direct), capture_output=True, text=True)
    )
    assert not ended.returncode, ended.stderr


@fault(missing=explain_missing())
async def upgraded_under_load(scene: Scene) -> None:
    """`migrate` under two workers of the release before this one, then workers of both side by side, then this one's"""
    scene.load.of_two_releases = True
    # Old workers do not know milestones, and stop at a row of the outbox that has one.
    scene.settings = scene.settings.model_copy(update={"milestones": False})
    with checked_out(BEFORE) as before:
        await begin_with_tables_of(scene, before.path)
        scene.publish()
        old = [scene.start(checkout=before.path) for _ in range(2)]
        await scene.wait_until_ready()
        await scene.pause()
        status, said = await scene.run("migrate")
        scene.prove(not status and "0008" in said, f"migrate: {said}")
        await scene.execute(AUDIT)
        await scene.pause()
        scene.start()
        await scene.wait_until_ready()
        applied = [await worker.metric("progress_events_total") for worker in old]

        async def old_ones_go_on() -> bool:
            now = [await worker.metric("progress_events_total") for worker in old]
            return all(more > some > 0 for more, some in zip(now, applied, strict=True))

        await scene.wait_for_proof(old_ones_go_on)
        await scene.pause()
        await asyncio.gather(*(worker.stop() for worker in old))
    scene.mark_over()
    scene.start()
