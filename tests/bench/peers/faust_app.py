"""The Faust app of both Faust peers."""

import tempfile

import faust

from worker.settings import Settings


def faust_app(settings: Settings) -> faust.App:
    return faust.App(
        settings.consumer_group,
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        datadir=tempfile.gettempdir(),  # where tables would be
        web_enabled=False,
        topic_disable_leader=True,  # a topic less to create; nothing here asks who leads
    )


def lesson_events(app: faust.App, settings: Settings) -> faust.Topic:
    """The topic, as bytes: `worker.decode` reads them."""
    return app.topic(settings.lesson_events_topic, value_serializer="raw")


def run(app: faust.App) -> None:
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
