"""Plays a network between the workers and each server that is cut, delayed or swallows data."""

import asyncio

from tests.faults.fault import fault
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene


async def play_cut(scene: Scene, network: Proxy) -> None:
    await scene.start_two_workers()
    for _ in range(3):
        network.cut()
        await scene.pause(0.1, 4)
        network.heal()
        scene.mark_over()
        await scene.pause()
    require_harm(scene, network)


def require_harm(scene: Scene, network: Proxy) -> None:
    scene.prove(network.harmed > 0, "no connection was harmed")


async def play_delay(scene: Scene, network: Proxy) -> None:
    await scene.start_two_workers()
    network.delay_s = scene.rng.uniform(0.1, 0.4)
    await scene.pause(8, 12)
    network.heal()
    require_harm(scene, network)


async def play_swallowing(scene: Scene, network: Proxy) -> None:
    await scene.start_two_workers()
    network.swallow(after_bytes=scene.rng.randint(0, 50_000))
    await asyncio.sleep(15)
    network.heal()
    require_harm(scene, network)


@fault()
async def kafka_cut(scene: Scene) -> None:
    """network to Kafka cut, three times up to 4 s"""
    await play_cut(scene, scene.kafka)


@fault()
async def postgres_cut(scene: Scene) -> None:
    """network to PostgreSQL cut, three times up to 4 s"""
    await play_cut(scene, scene.postgres)


@fault()
async def kafka_delayed(scene: Scene) -> None:
    """network to Kafka delayed by 0.1-0.4 s each way for some 10 s"""
    await play_delay(scene, scene.kafka)


@fault()
async def postgres_delayed(scene: Scene) -> None:
    """network to PostgreSQL delayed by 0.1-0.4 s each way for some 10 s"""
    await play_delay(scene, scene.postgres)


@fault()
async def kafka_swallowed(scene: Scene) -> None:
    """network to Kafka black-holed half-way through a response for 15 s"""
    await play_swallowing(scene, scene.kafka)


@fault()
async def postgres_swallowed(scene: Scene) -> None:
    """network to PostgreSQL black-holed half-way through a response for 15 s"""
    await play_swallowing(scene, scene.postgres)
