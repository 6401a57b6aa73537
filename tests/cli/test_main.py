import json
import os
import signal
from pathlib import Path

import click
import pytest

from tests.command_line import COURSE, NOWHERE, PUBLISH, USER, commands, run, start
from tests.processes import environment
from worker.cli.main import cli
from worker.settings import Settings


@pytest.mark.parametrize("path", dict(commands(cli)))
def test_every_command_shows_an_example_of_itself(path: str) -> None:
    command = dict(commands(cli))[path]
    with click.Context(command, info_name=path) as context:
        help_text = command.get_help(context)

    assert command.help
    assert f"course-progress {path}" in help_text.partition("Example:")[2]


@pytest.mark.parametrize(
    "group", [cli, *(each for _, each in commands(cli) if isinstance(each, click.Group))], ids=lambda group: group.name
)
def test_no_summary_of_a_command_is_cut_off(group: click.Group) -> None:
    with click.Context(group, info_name="course-progress", terminal_width=80) as context:
        assert "..." not in group.get_help(context).partition("Commands:")[2]


@pytest.mark.processes
@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "--learners", "0"],
        ["demo", "--duration", "0"],
        ["show"],
        ["show", "--user", "nobody"],
        ["deadletters", "discard", "--yes"],
        ["deadletters", "show", "17"],
        ["deadletters", "list", "--since", "2 h"],
        ["publish", "Nonsense", "--user", USER, "--course", COURSE],
        PUBLISH,
        [*PUBLISH, "--lesson", "a", "--total-lessons", "0"],
        [*PUBLISH, "--lesson", "", "--total-lessons", "1"],
        [*PUBLISH, "--lesson", "a", "--total-lessons", "1", "--at", "yesterday"],
        [*PUBLISH, "--lesson", "a", "--total-lessons", "1", "--at", "2026-11-23T09:00"],
        ["publish", "ProgressReset", "--user", USER, "--course", COURSE, "--lesson", "a"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: list[str]) -> None:
    status, output, errors = run(*arguments, **NOWHERE)

    assert (status, output) == (2, "")
    assert errors.count("\n") == 1


@pytest.mark.processes
@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate"],
        ["topics"],
        ["watch"],
        ["show", "--user", USER],
        ["deadletters", "list"],
        ["deadletters", "replay"],
        ["import", "xapi", os.devnull, "--total-lessons", "1"],
        ["import", "xapi", "no such file"],
        [*PUBLISH, "--lesson", "a", "--total-lessons", "1"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_line_and_status_1(arguments: list[str]) -> None:
    status, output, errors = run(*arguments, **NOWHERE)

    assert (status, output) == (1, "")
    assert errors.startswith("course-progress: ")
    assert errors.count("\n") == 1


@pytest.mark.processes
def test_a_wrong_setting_is_named() -> None:
    status, _, errors = run("migrate", PROGRESS_BATCH_SIZE="many")

    assert status == 1
    assert errors.startswith("course-progress: PROGRESS_BATCH_SIZE: ")
    assert errors.count("\n") == 1


def test_nobody_has_no_progress(database_settings: Settings) -> None:
    variables = environment(database_settings)

    assert run("show", "--user", USER, **variables) == (0, "no progress\n", "")
    assert run("show", "--user", USER, "--json", **variables) == (0, "[]\n", "")
    assert run("show", "--user", USER, "--course", COURSE, "--json", **variables) == (0, "null\n", "")


def test_statements_are_imported(settings: Settings, tmp_path: Path) -> None:
    statement = {
        "id": "1",
        "actor": {"account": {"homePage": "https://lms.example", "name": USER}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "object": {"id": "lesson"},
        "context": {"contextActivities": {"parent": [{"id": "course"}]}},
        "timestamp": "2026-11-20T09:00:00Z",
    }
    file = tmp_path / "statements"
    file.write_text(f"{json.dumps(statement)}\n{{}}\n")
    status, output, errors = run("import", "xapi", str(file), **environment(settings))

    assert (status, output) == (1, "published 1; skipped: none; malformed lines: 1\n")
    assert errors.startswith("line 2: ")


@pytest.mark.parametrize(
    ("command", "status"),
    [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["no such command"], 127), ([os.sep], 126)],
    ids=str,
)
def test_stack_ends_as_its_command_does(settings: Settings, command: list[str], status: int) -> None:
    assert run("stack", "--", *command, **environment(settings))[0] == status


def test_stack_gives_its_command_the_servers(settings: Settings) -> None:
    _, output, _ = run("stack", "--", "sh", "-c", "echo $PROGRESS_DATABASE_URL", **environment(settings))

    assert output.strip() == settings.database_url.get_secret_value()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stack_is_for_its_command(settings: Settings, number: signal.Signals) -> None:
    script = 'trap "echo heard; exit 5" INT TERM; echo up; while :; do sleep 0.1; done'
    process = start("stack", "--", "sh", "-c", script, **environment(settings))
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)

    assert (process.returncode, output) == (5, "heard\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stack_alone_stays_until_a_signal(settings: Settings, number: signal.Signals) -> None:
    process = start("stack", **environment(settings))
    assert process.stderr is not None
    assert "Ctrl-C" in process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert f"export PROGRESS_DATABASE_URL={settings.database_url.get_secret_value()}\n" in output
