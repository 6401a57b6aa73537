"""Defines the commands that publish and follow events: `publish` and `watch`."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import click
from pydantic import ValidationError

from events import (
    LESSON_EVENTS,
    CourseEventSubscriber,
    LessonEvent,
    LessonEventPublisher,
    Receipt,
)
from worker.cli.options import Moment, WithExamples
from worker.cli.output import say
from worker.settings import Settings, settings


@click.command(
    cls=WithExamples,
    epilog="""\
course-progress publish LessonCompleted --user 0190a6e2-0000-7000-8000-000000000001 \\
    --course 0190a6e2-0000-7000-8000-00000000000a --lesson intro --total-lessons 3""",
)
@click.argument("type_name", metavar="TYPE")
@click.option("--user", "user_id", type=click.UUID, required=True, help="The learner.")
@click.option("--course", "course_id", type=click.UUID, required=True, help="The course.")
@click.option("--lesson", "lesson_id", help="The lesson, 1 to 255 characters.")
@click.option("--total-lessons", type=int, help="How many lessons the course has.")
@click.option("--reason", help="Of a waiver: why.")
@click.option("--at", type=Moment(), help="When it happened; by default now.")
def publish(type_name: str, at: datetime | None, **data: Any) -> None:
    """Publishes one event. TYPE is LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset, LessonWaived
    or LessonWaiverWithdrawn.
    """
    event = build_event(type_name, {name: value for name, value in data.items() if value is not None})
    receipt = asyncio.run(publish_event(settings(), event, at))
    where = f"{receipt.topic} partition {receipt.partition} offset {receipt.offset}"
    say(f"{where} id {receipt.event_id}")


def build_event(type_name: str, data: dict[str, Any]) -> LessonEvent:
    """Builds the event from the options. Raises UsageError, which names the option that is wrong."""
    model = {name.lower(): model for name, model in LESSON_EVENTS.items()}.get(type_name.lower())
    if model is None:
        raise click.UsageError(f"TYPE is {type_name!r}, not one of {', '.join(LESSON_EVENTS)}.")
    options = {"lesson_id": "--lesson", "total_lessons": "--total-lessons", "reason": "--reason"}
    for name in data.keys() - model.model_fields.keys():
        raise click.UsageError(f"{options[name]} has no meaning for {model.__name__}.")
    try:
        return model(**data)
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{options[str(problem['loc'][0])]}: {problem['msg']}.") from None


async def publish_event(settings: Settings, event: LessonEvent, at: datetime | None) -> Receipt:
    """Publishes the event, which is durable on return. Raises PublishFailed."""
    from worker.kafka.client import client_arguments

    topic = settings.lesson_events_topic
    async with LessonEventPublisher(
        **client_arguments(settings), topic=topic, source="command-line", timeout_s=10
    ) as publisher:
        return await publisher.publish(event, occurred_at=at)


@click.command(
    cls=WithExamples,
    short_help="Follows course-events, one line per event.",
    epilog="course-progress watch\ncourse-progress watch --json | jq .user_id",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
def watch(as_json: bool) -> None:
    """Follows course-events from the oldest event on, one line per event, until Ctrl-C."""
    asyncio.run(follow(settings(), as_json))


async def follow(settings: Settings, as_json: bool) -> None:
    """Prints course events as they arrive, until it is cancelled; its consumer group is new each time."""
    from worker.kafka.client import client_arguments
    from worker.terminal import progress as terminal

    topic = settings.course_events_topic
    async with CourseEventSubscriber(
        **client_arguments(settings), group_id=f"watch-{uuid4()}", topic=topic
    ) as subscriber:
        async for received in subscriber:
            say(terminal.event_to_json(received) if as_json else terminal.format_event(received))
