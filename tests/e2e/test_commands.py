"""What one command publishes, others show once a worker has applied it."""

import json
import signal
import subprocess

from tests.command_line import COURSE, PUBLISH, USER, run, start
from tests.processes import Workers, environment
from worker.settings import Settings


def test_what_is_published_is_shown_and_watched(settings: Settings, workers: Workers) -> None:
    variables = environment(settings)
    times = ["--total-lessons", "2", "--at"]
    status, first, errors = run(*PUBLISH, "--lesson", "a", *times, "2026-11-20T09:00:00Z", **variables)
    run("publish", "lessoncompleted", *PUBLISH[2:], "--lesson", "b", *times, "2026-11-21T09:00:00Z", **variables)
    workers.start("--until-idle").wait()

    assert status == 0, errors
    assert first.startswith(f"{settings.lesson_events_topic} partition ")
    [shown] = json.loads(run("show", "--user", USER, "--json", **variables)[1])
    assert (shown["completed_lessons"], shown["progress_percentage"]) == (["a", "b"], 100)
    assert json.loads(run("show", "--user", USER, "--course", COURSE, "--json", **variables)[1]) == shown
    assert "100 %" in run("show", "--user", USER, **variables)[1]
    told = [json.loads(line)["event"] for line in first_lines(start("watch", "--json", **variables), 4)]
    assert [event.get("milestone") for event in told] == [25, 50, 75, None]
    assert told[3]["completed_at"] == "2026-11-21T09:00:00Z"
    milestone, *_, completion = first_lines(start("watch", **variables), 4)
    assert ("25 %" in milestone, "CourseCompleted" in completion) == (True, True)


def first_lines(process: subprocess.Popen[str], number: int) -> list[str]:
    """Of a command that goes on until Ctrl-C, which must end it cleanly."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(number)]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors.strip()) == (130, "", "")
    return lines
