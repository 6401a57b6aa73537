import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from events import CourseCompleted
from worker.demo.comparison import Report
from worker.demo.parts import Parts
from worker.demo.player import make_name
from worker.demo.run import Demo, assemble, format_summary, list_exports
from worker.demo.view import SPARKS, Rate, View, draw_sparkline, format_short_time
from worker.demo.workers import Supervisor
from worker.devstack import Servers
from worker.learners.reads import CourseProgress
from worker.settings import Settings

NOW = datetime.now(UTC)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """The parts of a demo that has run for a while; nothing is started."""
    parts = assemble(Settings(), 300, tmp_path)
    for learner in parts.traffic.player.learners:
        key = (learner.user_id, learner.course.id)
        parts.observer.progress[key] = CourseProgress(*key, 3, 7, 43, (), "x", NOW, NOW, None, 0)
        ids = dict(zip(("user_id", "course_id"), key, strict=True))
        parts.certificates.latest.append(
            CourseCompleted(
                **ids, completed_at=NOW, completion_number=1, lessons_completed=1, total_lessons=1, started_at=NOW
            )
        )
    parts.observer.reasons = {f"user_id: no UUID {'x' * 200} {number}": number for number in range(50)}
    parts.traffic.published = parts.observer.applied = 12_345_678
    return parts


def drawn(parts: Parts, width: int, height: int) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    view = View(parts, "broker: jars, database: wheel", console, live=True)
    view._published.sample(0, 0)
    view._published.sample(1, 1234)
    console.print(view._draw_picture(), end="")
    return screen.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_the_picture_fills_the_screen_and_no_more(parts: Parts, width: int, height: int) -> None:
    lines = drawn(parts, width, height)

    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


def test_80_columns_and_24_lines_have_room_for_everything(parts: Parts) -> None:
    picture = "\n".join(drawn(parts, 80, 24))

    for text in ("a worker starts", "1,234/s", "12,345,678 in all", "lag 0", "43 %", "3/7", "completions", "no UUID"):
        assert text in picture


def test_where_certificates_are_issued_they_are_counted(parts: Parts, tmp_path: Path) -> None:
    parts.certificates.issued, parts.certificates.certified = 1_234, 1_198
    issuing = replace(parts, effects=Supervisor(tmp_path, "effects"))
    [with_them, without] = ["\n".join(drawn(each, 80, 24)) for each in (issuing, parts)]

    assert "completions 1,234, certificates 1,198" in with_them
    assert "1,198 certificates" in View(issuing, "", Console(), live=False).line
    assert "completions 1,234, revoked 0" in without
    assert "certificates" not in View(parts, "", Console(), live=False).line


@pytest.mark.parametrize(("width", "height"), [(40, 10), (20, 5), (10, 2)])
def test_a_tiny_terminal_is_no_error(parts: Parts, width: int, height: int) -> None:
    assert len(drawn(parts, width, height)) == height


def test_a_demo_that_has_just_begun_can_be_drawn(tmp_path: Path) -> None:
    assert drawn(assemble(Settings(), 1, tmp_path), 80, 24)


def test_a_learner_who_was_not_looked_at_yet_has_no_bar_instead_of_an_empty_one(parts: Parts) -> None:
    parts.observer.progress.clear()

    picture = "\n".join(drawn(parts, 100, 30))

    assert make_name(parts.traffic.player.learners[0].user_id) in picture
    assert "0 %" not in picture


async def test_it_goes_on_being_drawn_while_a_server_keeps_a_look_waiting(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_thrice = asyncio.Event()
    view = View(parts, "broker: jars", Console(file=io.StringIO()), live=False)
    shown: list[None] = []

    def show() -> None:
        shown.append(None)
        if len(shown) == 3:
            drawn_thrice.set()

    async def look(learners: object) -> None:
        await drawn_thrice.wait()

    monkeypatch.setattr(view, "show", show)
    monkeypatch.setattr(parts.observer, "look", look)

    async with asyncio.timeout(10):
        await Demo(Settings(), "jars", parts, view, None)._look_until(lambda: True)

    assert len(shown) >= 3


def test_where_there_is_no_terminal_a_line_comes_now_and_then(parts: Parts) -> None:
    console = Console(file=io.StringIO(), width=80)
    with View(parts, "broker: jars", console, live=False) as view:
        view.show()
        view.show()
        shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert shown.count("\n") == 1
    assert "12,345,678 published" in shown


def test_it_says_how_other_commands_reach_its_own_servers_and_no_others(parts: Parts) -> None:
    console = Console(file=io.StringIO(), width=120)
    view = View(parts, "broker: jars", console, live=False)
    view.address = "http://127.0.0.1:1/demo"
    view.exports = list_exports(Servers("postgresql://postgres@127.0.0.1:2/p", "127.0.0.1:3", "jars", "wheel"))
    with view:
        printed = console.file.getvalue()  # type: ignore[attr-defined]

    for shown in (printed, view._draw_invitation().plain):
        assert "export PROGRESS_DATABASE_URL=postgresql://postgres@127.0.0.1:2/p\n" in shown
        assert "export PROGRESS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:3" in shown
    assert list_exports(Servers("postgresql://me:secret@db/p", "kafka:9092", "env", "env")) == []


def test_a_rate_is_per_second() -> None:
    rate = Rate()
    for now, total in [(0, 0), (0.5, 400), (1, 1000), (3, 1500)]:
        rate.sample(now, total)

    assert rate.history == [1000, 250]
    assert rate.latest == 250


def test_a_sparkline_is_as_wide_as_asked_and_as_high_as_the_highest() -> None:
    assert draw_sparkline([], 3) == "   "
    assert draw_sparkline([0, 5, 10], 4) == f" {SPARKS[0]}{SPARKS[3]}{SPARKS[7]}"
    assert draw_sparkline([10, 0, 0], 2) == SPARKS[0] * 2
    assert draw_sparkline([1], -5) == ""


def test_what_an_ended_demo_left_waiting_is_said() -> None:
    report = Report(published=10, applied=7, rejected=1, course_completed_received=0, seconds=1, broker="jars")

    assert format_summary(report, []).endswith("; 2 were still waiting")
    assert "waiting" not in format_summary(replace(report, applied=9), [])


def test_an_old_time_is_a_date() -> None:
    one_to_midnight = datetime(2026, 11, 24, 23, 59)  # local
    assert format_short_time(one_to_midnight, one_to_midnight) == "23:59"
    assert format_short_time(one_to_midnight, one_to_midnight + timedelta(minutes=2)) == "24 Nov"
