"""Formats progress and course events for a terminal, and as JSON: for `show`, `watch` and the demo."""

from collections.abc import Sequence

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from events import BadgeEarned, BadgeRevoked, CertificateIssued, CertificateRevoked, ProgressMilestoneReached, Received
from worker.learners.reads import CourseProgress
from worker.plain_text import escape, to_json

DONE, OPEN = "green", "cyan"


def build_progress_table() -> Table:
    """Builds a table without lines: a name, and the three cells of `build_progress_cells`."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table


def build_progress_cells(progress: CourseProgress | None) -> tuple[ProgressBar, Text, Text]:
    """Builds the cells bar, percentage and lessons; None is a course that the learner has not begun."""
    if progress is None:
        return ProgressBar(completed=0), Text("0 %", "dim"), Text("")
    style = DONE if progress.completed_at else OPEN
    bar = ProgressBar(completed=progress.progress_percentage, complete_style=style, finished_style=style)
    lessons = f"{progress.lessons_completed}/{progress.total_lessons or '?'}"
    return bar, Text(f"{progress.progress_percentage} %", style), Text(lessons, "dim")


def print_progress(found: Sequence[CourseProgress]) -> None:
    """Prints a bar for each course."""
    table = build_progress_table()
    table.add_column(justify="right", no_wrap=True)
    for progress in found:
        day = progress.completed_at or progress.last_accessed_at
        state = "completed" if progress.completed_at else "seen"
        table.add_row(str(progress.course_id), *build_progress_cells(progress), Text(f"{state} {day:%Y-%m-%d}", "dim"))
    Console().print(table if found else "no progress")


def progress_to_json(found: Sequence[CourseProgress], *, one: bool) -> str:
    """Formats progress as a JSON array; with `one`, as the object of that course, or null.

    `more_lessons` is there where the list of completed lessons is cut.
    """
    objects = TypeAdapter(list[CourseProgress]).dump_python(list(found), mode="json")
    for shown, progress in zip(objects, found, strict=True):
        if progress.more_lessons:
            shown["more_lessons"] = progress.more_lessons
    return to_json((objects or [None])[0] if one else objects)


def event_to_json(received: Received) -> str:
    """Formats a course event as one JSON object."""
    return to_json(TypeAdapter(Received).dump_python(received, mode="json", serialize_as_any=True))


def format_event(received: Received) -> str:
    """Formats a course event as one line."""
    event, type = received.event, escape(received.type)
    match event:
        case CertificateIssued() | CertificateRevoked():
            more = f"number {event.completion_number}  version {event.course_version}  certificate {event.code}  "
            more += f"issue {event.issue}"
        case ProgressMilestoneReached():
            more = f"{event.milestone} %  lessons {event.lessons_completed}/{event.total_lessons}"
        case BadgeEarned() | BadgeRevoked():
            return f"{received.time:%Y-%m-%d %H:%M:%S}  {type:<24}  user {event.user_id}  badge {event.badge}"
        case _:
            more = f"number {event.completion_number}  lessons {event.lessons_completed}/{event.total_lessons}"
    about = f"{type:<24}  user {event.user_id}  course {event.course_id}"
    return f"{received.time:%Y-%m-%d %H:%M:%S}  {about}  {more}"
