"""Defines the command `course-progress show`."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.settings import Settings, settings

if TYPE_CHECKING:
    from worker.learners.reads import CourseProgress


@click.command(cls=WithExamples, epilog="course-progress show --user 0190a6e2-0000-7000-8000-000000000001")
@click.option("--user", "user_id", type=click.UUID, required=True, help="The learner.")
@click.option("--course", "course_id", type=click.UUID, help="Only this course.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array; with --course an object, or null.")
def show(user_id: UUID, course_id: UUID | None, as_json: bool) -> None:
    """Shows how far a user is in each course.

    The course that was accessed last comes first. At most 1,000 courses are shown.
    """
    from worker.terminal import progress as terminal

    found = asyncio.run(read_progress(settings(), user_id, course_id))
    if as_json:
        say(terminal.progress_to_json(found, one=course_id is not None))
    else:
        terminal.print_progress(found)


async def read_progress(settings: Settings, user_id: UUID, course_id: UUID | None) -> "list[CourseProgress]":
    """Reads the user's progress in all courses, or in one. Raises DatabaseUnavailable."""
    from worker.learners.service import ProgressService

    async with ProgressService(settings) as service:
        if course_id is None:
            return await service.get_user_progress(user_id)
        progress = await service.get_course_progress(user_id, course_id)
        return [progress] if progress else []
