"""How progress looks in a terminal: what `show` and the demo have in common."""

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.service import CourseProgress

DONE, OPEN = "green", "cyan"


def progress_table() -> Table:
    """A table without lines, for the cells below: whose, bar, percentage, lessons."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table


def progress_cells(progress: CourseProgress | None) -> tuple[ProgressBar, Text, Text]:
    """Bar, percentage and lessons; None is a course not begun."""
    if progress is None:
        return ProgressBar(completed=0), Text("0 %", "dim"), Text("")
    style = DONE if progress.completed_at else OPEN
    bar = ProgressBar(completed=progress.progress_percentage, complete_style=style, finished_style=style)
    lessons = f"{progress.lessons_completed}/{progress.total_lessons or '?'}"
    return bar, Text(f"{progress.progress_percentage} %", style), Text(lessons, "dim")
