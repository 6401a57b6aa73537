"""Defines the commands `waive` and `unwaive`: a lesson counts as met though the learner has not completed it."""

import asyncio
from typing import Any
from uuid import UUID

import click

from worker.cli.catalog import fetch, require_new_workers
from worker.cli.events import build_event, publish_event
from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.errors import SetupError
from worker.plain_text import escape
from worker.settings import Settings, settings

EXAMPLE = """\
course-progress {} --user 0190a6e2-0000-7000-8000-000000000001 \\
    --course 0190a6e2-0000-7000-8000-00000000000a --lesson quiz --reason {}"""


def with_lesson(command: Any) -> Any:
    """Adds the options that name a learner's lesson."""
    for option in (
        click.option("--lesson", "lesson_id", required=True, help="The lesson, 1 to 255 characters."),
        click.option("--course", "course_id", type=click.UUID, required=True, help="The course."),
        click.option("--user", "user_id", type=click.UUID, required=True, help="The learner."),
    ):
        command = option(command)
    return command


@click.command(
    cls=WithExamples,
    short_help="Lets a lesson count as met for a learner.",
    epilog=EXAMPLE.format("waive", "'passed it at school'"),
)
@with_lesson
@click.option("--reason", required=True, help="Why, 1 to 500 characters; it is kept.")
def waive(user_id: UUID, course_id: UUID, lesson_id: str, reason: str) -> None:
    """Lets a lesson count as met for a learner who need not complete it, from now on (rule 8 of docs/rules.md)."""
    publish_waiver("LessonWaived", user_id=user_id, course_id=course_id, lesson_id=lesson_id, reason=reason)


@click.command(
    cls=WithExamples,
    short_help="Takes a waiver back.",
    epilog=EXAMPLE.format("unwaive", "'a mistake'"),
)
@with_lesson
@click.option("--reason", help="Why, 1 to 500 characters.")
def unwaive(user_id: UUID, course_id: UUID, lesson_id: str, reason: str | None) -> None:
    """Takes the waiver of a lesson back. A lesson that the learner has completed stays completed."""
    publish_waiver("LessonWaiverWithdrawn", user_id=user_id, course_id=course_id, lesson_id=lesson_id, reason=reason)


def publish_waiver(type_name: str, **data: Any) -> None:
    """Publishes the event, and prints where it is, durably. Raises SetupError where it would change nothing."""
    event = build_event(type_name, {name: value for name, value in data.items() if value is not None})
    asyncio.run(require_known_lesson(settings(), data["course_id"], data["lesson_id"]))
    receipt = asyncio.run(publish_event(settings(), event, None))
    say(f"{receipt.topic} partition {receipt.partition} offset {receipt.offset} id {receipt.event_id}")


async def require_known_lesson(settings: Settings, course_id: UUID, lesson_id: str) -> None:
    """Raises SetupError for a lesson that no version names, and while a worker runs that does not know waivers."""
    await require_new_workers(settings)
    if not await fetch(settings, "courses/names_lesson", course_id, lesson_id):
        raise SetupError(
            f"no version of course {course_id} names lesson {escape(lesson_id)}: "
            "`course-progress catalog show` prints its lessons"
        )
