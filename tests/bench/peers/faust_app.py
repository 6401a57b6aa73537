"""Builds the Faust app of both Faust peers."""

import tempfile

import faust

from worker.settings import Settings


def faust_app(settings: Settings) -> faust.App:
    return faust.App(
        settings.consumer_group,
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        datadir=tempfile.gettempdir(),  # Faust would keep tables here
        web_enabled=False,
        topic_disable_leader=True,  # saves a topic; nothing here needs a leader
    )


def lesson_events(app: faust.App, settings: Settings) -> faust.Topic:
    """Returns the topic with values as bytes, because `worker.decode` reads them."""
    return app.topic(settings.lesson_events_topic, value_serializer="raw")


def run(app: faust.App) -> None:
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
