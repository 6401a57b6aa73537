"""Draws the demo: a live picture in a terminal, elsewhere a line every LINE_EVERY_S seconds."""

import time
from collections import deque
from datetime import datetime
from itertools import pairwise
from typing import Self

from rich.console import Console
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker.demo.parts import Parts
from worker.demo.player import TITLES, Learner, make_name
from worker.terminal.progress import build_progress_cells, build_progress_table

LEARNERS_SHOWN = 24
LINE_EVERY_S = 5.0
SPARKS = "▁▂▃▄▅▆▇█"


class Rate:
    """Tracks how fast a counter grows, second by second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=200)

    def sample(self, now: float, total: int) -> None:
        """Takes the counter's value; it may be called at any rate."""
        if not self._samples or now - self._samples[-1][0] >= 1:
            self._samples.append((now, total))

    @property
    def history(self) -> list[int]:
        """Lists the growth per second, the latest last."""
        return [round((b - a) / (till - since)) for (since, a), (till, b) in pairwise(self._samples)]

    @property
    def latest(self) -> int:
        return (self.history or [0])[-1]


def draw_sparkline(rates: list[int], width: int) -> str:
    """Draws the latest rates as columns of characters, right-aligned; the highest rate is a full column."""
    shown = rates[-width:] if width > 0 else []
    highest = max(shown, default=0) or 1
    return "".join(SPARKS[rate * (len(SPARKS) - 1) // highest] for rate in shown).rjust(width)


def build_panel(title: str, content: Table) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", padding=(0, 1))


class View:
    """Draws the figures of the parts whenever `show` is called; a context manager. `servers` is part of the title."""

    def __init__(self, parts: Parts, servers: str, console: Console, *, live: bool) -> None:
        self.phase = "publishing"
        self.address = ""  # of the pages
        self.exports: list[str] = []  # what another terminal runs first, to reach the demo's servers
        self._parts = parts
        self._servers = servers
        self._console = console
        self._published, self._applied = Rate(), Rate()
        self._started = self._line_due = time.monotonic()
        self._live = Live(console=console, screen=True, auto_refresh=False) if live else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        elif self.address:
            self._console.print(f"open {self.address}", soft_wrap=True, highlight=False)
            for line in self.exports:
                self._console.print(line, soft_wrap=True, highlight=False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live:
            self._live.stop()
        self._console.print("stopping", highlight=False)

    @property
    def learners(self) -> list[Learner]:
        """Lists the learners whose bars are on the screen."""
        return self._parts.traffic.player.learners[:LEARNERS_SHOWN] if self._live else []

    def show(self) -> None:
        """Draws the picture, or prints a line if one is due."""
        now = time.monotonic()
        self._published.sample(now, self._parts.traffic.published)
        self._applied.sample(now, self._parts.observer.applied)
        if self._live:
            self._live.update(self._draw_picture(), refresh=True)
        elif now >= self._line_due:
            self._line_due = now + LINE_EVERY_S
            self._console.print(self.line, soft_wrap=True, markup=False, highlight=False)

    @property
    def line(self) -> str:
        """Sums up all figures in one line."""
        observer = self._parts.observer
        return (
            f"{self._elapsed} {self.phase}: "
            f"{self._parts.traffic.published:,} published ({self._published.latest:,}/s), "
            f"{observer.applied:,} applied ({self._applied.latest:,}/s), lag {observer.lag:,}, "
            f"{self._parts.certificates.issued:,} completions, {self._certificates}"
            f"{observer.dead_letters:,} dead letters; "
            f"{self._state}"
        )

    def _draw_picture(self) -> Layout:
        below = Layout(ratio=5)
        below.split_row(Layout(self._draw_completions(), size=46), Layout(self._draw_dead_letters()))
        picture = Layout()
        picture.split_column(
            Layout(self._draw_header(), size=2),
            Layout(self._draw_events(), size=4),
            Layout(self._draw_learners(), ratio=6),
            below,
            Layout(self._draw_invitation(), size=2 + len(self.exports)),
        )
        return picture

    def _draw_invitation(self) -> Text:
        return Text.assemble(
            (f" Open {self.address}", "bold"),
            " to click a lesson and see its bar move.\n",
            (f" Ctrl-C stops it all. Try `kill -9 {self._worker}`: nothing is lost.", "dim"),
            *((f"\n {line}", "dim") for line in self.exports),
        )

    def _draw_header(self) -> Table:
        title = Table.grid(expand=True)
        title.add_column(ratio=1)
        title.add_column(justify="right")
        where = f"{self._servers} · {self.phase} {self._elapsed}"
        title.add_row(Text(" course-progress demo", "bold"), Text(f"{where} ", "dim"))
        header = Table.grid(expand=True)
        header.add_row(title)
        header.add_row(Text(f" {self._state}", "yellow" if self._trouble else "green", no_wrap=True))
        return header

    def _draw_events(self) -> Panel:
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column()
        table.add_column(justify="right", min_width=8)
        table.add_column(ratio=1)
        table.add_column(justify="right", min_width=18)
        for name, rate, note in (
            ("published", self._published, f"{self._parts.traffic.published:,} in all"),
            ("applied", self._applied, f"lag {self._parts.observer.lag:,}"),
        ):
            columns = draw_sparkline(rate.history, self._console.width - 44)
            table.add_row(name, Text(f"{rate.latest:,}/s", "bold"), Text(columns, "cyan"), note)
        return build_panel("events", table)

    def _draw_learners(self) -> Panel:
        table = build_progress_table()
        for learner in self.learners:
            key = (learner.user_id, learner.course.id)
            found = self._parts.observer.progress
            cells = build_progress_cells(found[key]) if key in found else ()  # not looked at yet
            table.add_row(f"{make_name(learner.user_id):<16}  {learner.course.title:<17}", *cells)
        return build_panel("learners", table)

    def _draw_completions(self) -> Panel:
        certificates = self._parts.certificates
        now = datetime.now()
        table = Table.grid(expand=True, padding=(0, 1))
        for justify in ("left", "left", "right"):
            table.add_column(justify=justify, no_wrap=True)
        for completed in certificates.latest:
            title = TITLES.get(completed.course_id, str(completed.course_id))
            table.add_row(
                make_name(completed.user_id), title, Text(format_short_time(completed.completed_at, now), "dim")
            )
        more = "certificates" if self._parts.effects else "revoked"
        number = certificates.certified if self._parts.effects else certificates.revoked
        return build_panel(f"completions {certificates.issued:,}, {more} {number:,}", table)

    def _draw_dead_letters(self) -> Panel:
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(justify="right")
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for reason, times in reversed(self._parts.observer.reasons.items()):
            table.add_row(f"{times:,}", Text(reason, "dim"))
        return build_panel(f"dead letters {self._parts.observer.dead_letters:,}", table)

    @property
    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:02}:{seconds:02}"

    @property
    def _state(self) -> str:
        supervisor = self._parts.supervisor
        worker = f"worker {self._worker} runs" if supervisor.pid else "a worker starts"
        restarts = f" ({supervisor.restarts} restarted)" if supervisor.restarts else ""
        news = f"; {self._parts.traffic.news}" if self._parts.traffic.news else ""
        return f"{self._trouble}; {worker}" if self._trouble else worker + restarts + news

    @property
    def _certificates(self) -> str:
        return f"{self._parts.certificates.certified:,} certificates, " if self._parts.effects else ""

    @property
    def _worker(self) -> str:
        return str(self._parts.supervisor.pid or "its process id")

    @property
    def _trouble(self) -> str:
        effects = self._parts.effects.trouble if self._parts.effects else ""
        return self._parts.supervisor.trouble or self._parts.observer.trouble or self._parts.traffic.trouble or effects


def format_short_time(time: datetime, now: datetime) -> str:
    """Formats a time of today as hours and minutes, any other as a date; in local time."""
    local = time.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%d %b}"
