"""Whatever strangers wrote, no command prints anything that steers a terminal or fakes a line."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner

from events import Received
from events.models import CourseCompleted
from tests.command_line import COURSE, USER
from tests.factories import AT, letter
from worker.cli.main import cli, fail
from worker.deadletters.row import Row
from worker.learners.reads import CourseProgress
from worker.repair.recount import Difference
from worker.repair.rewind import Move

FAKED = "FAKED"  # must never begin a line
STEERING = {
    "NUL, bell and backspaces": "\x00\x07\x08\x08\x7f",
    "a colour": "\x1b[31mred\x1b[0m",
    "a title": "\x1b]0;owned\x07",
    "a clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "C1": "\x9b31m\x9d0;owned\x9c\x85",
    "bidirectional": "\u202egnp\u202c\u2066x\u2069\u200f\u061c",
    "no width": "\u200b\u2060\ufeff\u00ad",
    "separators": f"\u2028{FAKED}\u2029{FAKED}\x0b{FAKED}\x0c{FAKED}\x1c{FAKED}",
    "line breaks": f"a\r\n{FAKED}\n{FAKED}\r{FAKED}",
    "a tab and a surrogate": "\t\ud800",
}
Show = Callable[[pytest.MonkeyPatch, str, Path], None]


async def give(value: Any, *_: Any, **__: Any) -> Any:
    return value


def show_letters(patch: pytest.MonkeyPatch, text: str, _: Path, as_json: bool = True) -> None:
    sent = text.encode(errors="replace").decode()
    value = json.dumps({"type": text, text: [text]}) if as_json else text
    found = letter(
        dlq_reason=sent, dlq_topic=sent, dlq_kind=sent, dlq_rejected_at=sent, dlq_truncated=sent,
        dlq_consumer_group=sent, value=value.encode(errors="replace"), ce_type=sent,
    )  # fmt: skip
    found.record.headers[:] = [*found.record.headers, (sent, sent.encode()), ("binary", b"\xff\x1b[2J")]

    async def survey(_: Any, __: bool, newest: Any) -> Counter[str]:
        newest.add(Row.from_letter(found, [found.position], None))
        return Counter({found.kind: 1})

    patch.setattr("worker.cli.deadletters.survey", survey)
    patch.setattr("worker.cli.deadletters.read_letter", lambda _: give((found, None)))
    tally = SimpleNamespace(replayed=0, left=Counter({text: 1}))
    patch.setattr("worker.deadletters.replay.replay", lambda *_, **__: give(tally))


def show_events(patch: pytest.MonkeyPatch, text: str, _: Path) -> None:
    event = CourseCompleted(
        user_id=UUID(USER), course_id=UUID(COURSE), completed_at=AT, completion_number=1, lessons_completed=1,
        total_lessons=1, started_at=AT,
    )  # fmt: skip

    class Subscriber:
        def __init__(self, **_: Any) -> None: ...

        async def __aenter__(self) -> AsyncIterator[Received]:
            async def receive() -> AsyncIterator[Received]:
                yield Received(text, text, AT, event, 0, 0)

            return receive()

        async def __aexit__(self, *_: object) -> None: ...

    patch.setattr("worker.cli.events.CourseEventSubscriber", Subscriber)


def show_progress(patch: pytest.MonkeyPatch, text: str, _: Path) -> None:
    found = CourseProgress(UUID(USER), UUID(COURSE), 1, 2, 50, (text,), text, AT, AT, None, 0)
    patch.setattr("worker.cli.learners.read_progress", lambda *_: give([found]))


def show_differences(patch: pytest.MonkeyPatch, text: str, _: Path) -> None:
    class Verify:
        rows = 1

        def __init__(self, *_: Any, **__: Any) -> None: ...

        async def differences(self) -> AsyncIterator[Difference]:
            yield Difference(1, UUID(USER), UUID(COURSE), {"last_lesson_id": text}, {"last_lesson_id": text})

    patch.setattr("worker.cli.verify.connect_to_recount", lambda _: give(None))
    patch.setattr("worker.cli.verify.close", lambda _: give(None))
    patch.setattr("worker.cli.verify.Verify", Verify)


def show_moves(patch: pytest.MonkeyPatch, text: str, _: Path) -> None:
    moved = Move(TopicPartition(text.replace("\n", ""), 0), None, 0, 0, 0)
    patch.setattr("worker.cli.rewind.move", lambda *_, **__: give([moved]))


def show_statements(patch: pytest.MonkeyPatch, text: str, directory: Path) -> None:
    class Publisher:
        def __init__(self, **_: Any) -> None: ...

        async def __aenter__(self) -> "Publisher":
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def publish_many(self, _: object) -> None: ...

    verb = {"verb": {"id": f"http://x/{text}"}}
    wrong = {
        "id": str(uuid4()),
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        text: text,
        "timestamp": text,
    }
    right = wrong | {
        "actor": {"account": {"homePage": text, "name": text}},
        "object": {"id": f"x{text}"},
        "timestamp": "2026-03-02T10:00:00Z",
        "context": {
            "contextActivities": {
                "parent": [{"id": f"c{text}", "definition": {"type": "x/course", "name": {"en": text}}}]
            }
        },
    }
    plain = right | {"actor": {"account": {"homePage": "x", "name": "x"}}, "object": {"id": "x"}, "context": {}}
    plain["context"] = {"contextActivities": {"parent": [{"id": "c"}]}}
    lines = [
        json.dumps(verb),
        json.dumps(wrong),
        json.dumps(right),
        json.dumps(plain),
        text.encode(errors="replace").decode(),
    ]
    (directory / "statements").write_text("\n".join(lines), newline="")
    patch.chdir(directory)
    patch.setattr("worker.importers.run.LessonEventPublisher", Publisher)
    patch.setattr("worker.importers.totals.read_published", lambda *_: give({}))


COMMANDS: dict[str, Show] = {
    "deadletters list": show_letters,
    "deadletters list --all": show_letters,
    "deadletters list --json": show_letters,
    "deadletters list --count": show_letters,
    "deadletters list --count --json": show_letters,
    "deadletters show 0:7": show_letters,
    "deadletters show  0:7": partial(show_letters, as_json=False),
    "deadletters show 0:7 --json": show_letters,
    "deadletters replay --dry-run": show_letters,
    "watch": show_events,
    "watch --json": show_events,
    f"show --user {USER}": show_progress,
    f"show --user {USER} --json": show_progress,
    f"show --user {USER} --course {COURSE} --json": show_progress,
    "verify": show_differences,
    "verify --json": show_differences,
    "rewind --to earliest --dry-run": show_moves,
    "import xapi statements --lenient": show_statements,
    "import xapi statements --lenient --dry-run": show_statements,
    "import xapi statements --lenient --dry-run --json": show_statements,
}


@pytest.fixture(params=list(STEERING.values()), ids=list(STEERING))
def text(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def assert_plain(shown: str) -> None:
    assert shown.replace("\n", "").isprintable()
    assert not re.search(f"^{FAKED}", shown, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_what_steers_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, text: str
) -> None:
    COMMANDS[command](monkeypatch, text, tmp_path)

    done = CliRunner().invoke(cli, command.split())

    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.output
    assert_plain(done.output)
    if "--json" in command:
        assert all(json.loads(line) is not None for line in done.stdout.splitlines())


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit):
        fail(f"the file {text} cannot be read")

    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert_plain(errors)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    return


@pytest.mark.usefixtures("terminal")
def test_raw_bytes_go_to_no_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    show_letters(monkeypatch, "\x1b[31m", tmp_path)

    done = CliRunner().invoke(cli, ["deadletters", "show", "0:7", "--raw"])

    assert done.exit_code == 2
    assert "file or a program" in done.output
