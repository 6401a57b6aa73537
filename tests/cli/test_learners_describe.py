"""`course-progress learners describe` publishes who learners are, and never repeats what is wrong with it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from events.envelope import data_of, read
from events.learners import LEARNER_EVENTS, LearnerDescribed, MailConsent
from tests.command_line import NOWHERE, USER, run
from tests.processes import environment
from tests.topics import records_in, records_of
from worker.cli import learners_describe
from worker.cli.learner_file import read_descriptions
from worker.cli.main import cli
from worker.settings import Settings

SECRET = "Zuleikha Quisling"
ADA = {"user_id": USER, "name": "Ada Lovelace", "email": "ada@mail.example", "timezone": "Europe/London"}


def write(folder: Path, text: str, name: str = "learners.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


async def described(settings: Settings, number: int) -> list[LearnerDescribed]:
    records = await records_of(settings, settings.learners_topic, number)
    return [data_of(read(record.value, record.headers), LEARNER_EVENTS) for record in records]


# On Kafka


async def test_one_learner_is_described_by_options(settings: Settings) -> None:
    options = ["--user", USER, "--name", "Ada Lovelace", "--timezone", "Europe/London", "--mail", "reminders"]

    status, output, errors = await asyncio.to_thread(run, "learners", "describe", *options, **environment(settings))

    assert status == 0, errors
    [event] = await described(settings, 1)
    assert event == LearnerDescribed(
        user_id=UUID(USER), name="Ada Lovelace", timezone="Europe/London", mail=MailConsent(reminders=True)
    )
    assert output.startswith(f"{settings.learners_topic} partition ")
    assert "Ada" not in output + errors


async def test_a_file_describes_many_and_one_with_a_mistake_nobody(settings: Settings, tmp_path: Path) -> None:
    rows = [f"{uuid4()},Learner {number}" for number in range(1, 2_001)]
    good = write(tmp_path, "\n".join(["user_id,name", *rows]))
    bad = write(tmp_path, "\n".join(["user_id,name", *rows, f"{uuid4()},{SECRET * 20}"]), "bad.csv")

    refused = await asyncio.to_thread(run, "learners", "describe", str(bad), **environment(settings))
    assert refused[0] == 1
    assert await records_in(settings, settings.learners_topic) == 0
    assert "line 2,002: name: not 1 to 200 characters" in refused[2]
    assert SECRET not in "".join(map(str, refused))

    status, output, errors = await asyncio.to_thread(run, "learners", "describe", str(good), **environment(settings))
    assert (status, output) == (0, "published 2,000 descriptions\n"), errors
    assert {event.name for event in await described(settings, 2_000)} == {row.partition(",")[2] for row in rows}


# What files say


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    as_json = write(tmp_path, json.dumps({**ADA, "mail": {"milestones": True}}) + "\n\n", "learners.jsonl")
    as_csv = write(
        tmp_path,
        "\ufeffUser_id, name,email,locale,timezone,mail\r\n"
        f'{USER},"Ada Lovelace", ada@mail.example,,Europe/London,milestones\r\n',
    )
    expected = LearnerDescribed.model_validate({**ADA, "mail": {"milestones": True}})

    assert [*read_descriptions(as_json, "")] == [*read_descriptions(as_csv, "")] == [expected]


def test_a_cell_may_have_a_comma(tmp_path: Path) -> None:
    [found] = read_descriptions(write(tmp_path, f'name,user_id\n"Lovelace, Ada",{USER}\n'), "")

    assert isinstance(found, LearnerDescribed)
    assert found.name == "Lovelace, Ada"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f'{{"user_id": "{SECRET}"}}', "line 1: user_id: not a UUID"),
        (f'{{"name": "{SECRET}"}}', "line 1: user_id: not a UUID"),
        (f'{{"user_id": "{USER}", "email": "{SECRET}"}}', "line 1: email: not an address"),
        (f'{{"user_id": "{USER}", "timezone": "Europe/Zuleikha"}}', "line 1: timezone: not a zone"),
        (f'{{"user_id": "{USER}", "timezone": "Europe"}}', "line 1: timezone: not a zone"),
        (f'{{"user_id": "{USER}", "{SECRET}": 1}}', "line 1: fields: not an object with none but user_id"),
        (f'{{"user_id": "{USER}"}}\n{SECRET}', "line 2: line: not JSON"),
        (f'{{"user_id": "{USER}"}}\n"{SECRET}"', "line 2: fields: not an object"),
        (f"user_id,name\n{USER},{SECRET},more", "line 2: columns: 3, and the first line has 2"),
        (f'user_id,name\n{USER},"{SECRET}', "line 2: line: not CSV"),
        (f"user_id,mail\n{USER},{SECRET}", "line 2: mail: not milestones or reminders"),
        (f"user_id,locale\n{USER},{SECRET}", "line 2: locale: not a language tag"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_by_line_and_field_and_not_repeated(tmp_path: Path, text: str, why: str) -> None:
    problem = [*read_descriptions(write(tmp_path, text), "")][-1]

    assert isinstance(problem, str)
    assert problem.startswith(why)
    assert "uleikha" not in problem


@pytest.mark.parametrize(
    "first", [f"{USER},{SECRET}", f"user_id,{SECRET}", "name,email", "user_id,name,name", "\udcff"]
)
def test_a_file_without_the_names_of_its_columns_is_refused(tmp_path: Path, first: str) -> None:
    file = tmp_path / "learners.csv"
    file.write_bytes(f"{first}\n{USER},x\n".encode(errors="surrogateescape"))

    result = CliRunner().invoke(cli, ["learners", "describe", str(file)])

    assert result.exit_code == 1
    assert "the first line must name the columns, user_id and any of user_id, name" in str(result.exception)
    assert SECRET not in result.output + str(result.exception)


def test_a_file_that_changes_while_it_is_read_is_no_success() -> None:
    with pytest.raises(Exception, match="changed meanwhile: line 3"):
        [*learners_describe.right(iter(["line 3: name: wrong"]))]


# The command line


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "--user"),
        (["--user", USER, "--name", ""], "--name: not 1 to 200"),
        (["--user", USER, "--email", SECRET], "--email: not an address"),
        (["--user", USER, "--locale", SECRET], "--locale: not a language tag"),
        (["--user", USER, "--timezone", "Mars/Zuleikha"], "--timezone: not a zone"),
        (["--user", USER, "--mail", SECRET], "--mail: not milestones or reminders"),
        (["{file}", "--user", USER], "give no option beside it"),
        (["{file}", "--name", SECRET], "give no option beside it"),
    ],
    ids=str,
)
def test_a_wrong_command_line_names_the_option_and_not_what_it_says(
    tmp_path: Path, arguments: list[str], why: str
) -> None:
    file = str(write(tmp_path, ""))

    result = CliRunner().invoke(cli, ["learners", "describe", *(file if a == "{file}" else a for a in arguments)])

    assert result.exit_code == 2
    assert why in result.output
    assert "uleikha" not in result.output


@pytest.mark.processes
def test_without_kafka_one_line_says_so() -> None:
    status, output, errors = run("learners", "describe", "--user", USER, "--name", SECRET, **NOWHERE)

    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert SECRET not in errors


def test_an_empty_file_describes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish_file(*_: Any) -> int:
        return 0

    monkeypatch.setattr(learners_describe, "publish_file", publish_file)
    result = CliRunner().invoke(cli, ["learners", "describe", str(write(tmp_path, ""))])

    assert (result.exit_code, result.output) == (0, "published 0 descriptions\n")
