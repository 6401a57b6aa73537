"""Plays learners who click through a website while servers fail: what it calls done must be in the row then."""

import asyncio

from tests.faults.fault import fault
from tests.faults.kafka_faults import create, delete
from tests.faults.postgres_faults import fail_over
from tests.faults.scene import Scene
from tests.faults.website import ThroughApi, Website, open_website
from worker.learners.current_topic import ASK_EVERY_S, LONGEST_ANSWER_S


async def kill_one(scene: Scene, website: Website, api: ThroughApi) -> None:
    """Kills an API process with clicks on their way; the learners go on through the others."""
    await api.kill()
    website.ways.remove(api)
    scene.prove(api.cut_off > 0, "no click was on its way through the API process that was killed")


async def come_to_rest(scene: Scene, website: Website) -> None:
    """Waits until everything is applied, and requires what the website said."""
    await scene.come_to_rest()
    await website.adopt()
    await website.require_lessons()


@fault()
async def website_failed_over(scene: Scene) -> None:
    """learners click through ProgressService and two APIs: PostgreSQL fails over, an API process is SIGKILLed"""
    async with open_website(scene) as (website, api):
        async with website.clicking():
            await fail_over(scene, scene.start_two_workers)
            await website.wait_for_looks()
            await kill_one(scene, website, api)
            scene.mark_over()
            await website.wait_for_looks()
        await come_to_rest(scene, website)


@fault()
async def website_with_new_topic(scene: Scene) -> None:
    """learners click through ProgressService and two APIs: the topic is created again, an API process is SIGKILLed"""
    topic = scene.settings.lesson_events_topic
    publishing = scene.publish(at_most=2000)
    scene.start()
    scene.start()
    async with open_website(scene) as (website, api):
        async with website.clicking():
            await website.wait_for_looks()
        await publishing
        await scene.wait_until_recovered()  # what is deleted has been applied
        await website.adopt()
        await delete(scene, topic)
        await create(scene, topic)
        scene.load.recreated = True
        scene.publish()
        await asyncio.sleep(ASK_EVERY_S + LONGEST_ANSWER_S)  # until then the website need not know
        async with website.clicking():
            await rewind_after_exit(scene, website, api)
            await website.wait_for_looks()
        await come_to_rest(scene, website)


async def rewind_after_exit(scene: Scene, website: Website, api: ThroughApi) -> None:
    """Rewinds when the workers have stopped by themselves, and starts others. Nothing is done until then."""
    await scene.require_new_topic_noticed()
    looked = website.looked
    await kill_one(scene, website, api)
    await scene.pause(2, 4)
    if website.looked > looked:
        scene.unexpected.append("called done, while no worker had applied anything of the new topic")
    await scene.rewind()
    scene.mark_over()
    scene.start()
    scene.start()
