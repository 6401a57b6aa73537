"""Tests that no output shows a secret: every secret contains a mark, and all output is searched for it."""

import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import httpx
import pytest
from pydantic import SecretStr

from tests.command_line import COURSE, PUBLISH, USER, commands, run
from tests.databases import execute
from tests.factories import histories
from tests.processes import Workers, environment, eventually
from tests.security.secured import ESCAPED, Secured
from tests.topics import publish
from worker.cli.main import cli
from worker.errors import ProgressError
from worker.learners.service import ProgressService
from worker.postgres.connection import connect
from worker.settings import Settings

MARK = "leaked"
SECRETS = {
    f"PROGRESS_{name.upper()}": f"{MARK}-{name}"
    for name, field in Settings.model_fields.items()
    if SecretStr in (field.annotation, *get_args(field.annotation))
}
AWAY = {
    "PROGRESS_DATABASE_URL": f"postgresql://worker:{MARK}@127.0.0.1:1/none",
    "PROGRESS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "PROGRESS_LOG_LEVEL": "DEBUG",
}
# Ways to say to Kafka who we are, each with the secret it needs.
SCRAM = {
    "PROGRESS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "PROGRESS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "PROGRESS_KAFKA_SASL_USERNAME": "worker",
    "PROGRESS_KAFKA_SASL_PASSWORD": MARK,
}
OAUTH = {
    "PROGRESS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "PROGRESS_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "PROGRESS_KAFKA_OAUTH_TOKEN_URL": "http://127.0.0.1:1/token",
    "PROGRESS_KAFKA_OAUTH_CLIENT_ID": "worker",
    "PROGRESS_KAFKA_OAUTH_CLIENT_SECRET": MARK,
}
VERSION = str(Path(__file__).parent / "version.json")
LINES, TABLE = (str(Path(__file__).parent / name) for name in ("completions.jsonl", "completions.csv"))
BADGES = str(Path(__file__).parents[2] / "worker" / "achievements" / "badges.toml")
# What a command needs to get as far as its servers.
CODE = "a" * 26
ARGUMENTS = {
    "badges check": [BADGES],
    "badges show": ["--user", USER],
    "catalog check": [VERSION],
    "catalog delete": [COURSE, "--yes"],
    "catalog publish": [VERSION, "--yes"],
    "catalog show": [COURSE],
    "certificates key": ["/nowhere/key.pem"],
    "certificates preview": ["/nowhere/certificate.pdf"],
    "certificates reissue": [CODE],
    "certificates revoke": [CODE, "--reason", "copied"],
    "certificates show": [CODE],
    "deadletters discard": ["0:0", "--yes"],
    "deadletters show": ["0:0"],
    "deadletters truncate": ["--yes"],
    "demo": ["--duration", "1"],
    "explain": ["--user", USER, "--course", COURSE],
    "import csv": [TABLE],
    "import jsonl": [LINES],
    "import moodle": [TABLE],
    "import openedx": [TABLE],
    "import xapi": [LINES],
    "learners describe": ["--user", USER, "--name", "Ada"],
    "publish": [*PUBLISH[1:], "--lesson", "a", "--total-lessons", "1"],
    "rewind": ["--to", "earliest"],
    "show": ["--user", USER, "--course", COURSE],
    "stack": ["--", "true"],
    "unwaive": ["--user", USER, "--course", COURSE, "--lesson", "a"],
    "waive": ["--user", USER, "--course", COURSE, "--lesson", "a", "--reason", "ill"],
}
UNUSABLE = [
    f"mysql://worker:{MARK}@127.0.0.1/none",
    f"postgresql://worker:{MARK}@127.0.0.1:{MARK}/none",
    f"postgresql://worker:{MARK}#@127.0.0.1:1/none",
    f"postgresql://worker:x/{MARK}@127.0.0.1:1/none",
    f"postgresql://worker:[{MARK}@127.0.0.1:1/none",
    f"postgresql://worker:x@{MARK}@127.0.0.1:1/none",
    f"postgresql://worker@127.0.0.1:1/none?password={MARK}&sslmode={MARK}",
    f"postgresql://worker@127.0.0.1:1/none?{MARK}",
    f"postgresql://worker@127.0.0.1:1/none?password={MARK}&sslrootcert=/{MARK}",
    f"postgresql://worker@127.0.0.1:1/none?password={MARK}&target_session_attrs={MARK}",
    f"host=127.0.0.1 port=1 password={MARK}",
    MARK,
]


def command_lines() -> Iterator[list[str]]:
    for path, command in commands(cli):
        if not isinstance(command, click.Group):
            line = [*path.split(), *ARGUMENTS.get(path, [])]
            yield line
            if any("--json" in option.opts for option in command.params):
                yield [*line, "--json"]


def shown(error: BaseException) -> str:
    """Returns all texts of an error that a log, a debugger or another process may show."""
    lines = traceback.format_exception(error)
    return "\n".join([*lines, str(error), repr(error), repr(error.args), str(pickle.dumps(error))])


def test_settings_show_no_secret() -> None:
    names = [name.removeprefix("PROGRESS_").lower() for name in SECRETS]
    # Not from the environment, which may not have all of them at once.
    settings = Settings.model_construct(**{name: SecretStr(MARK) for name in names})

    assert "PROGRESS_DATABASE_URL" in SECRETS
    assert MARK not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.processes
@pytest.mark.parametrize("line", list(command_lines()), ids=" ".join)
def test_no_command_shows_a_secret_when_its_servers_are_away(line: list[str]) -> None:
    status, output, errors = run(*line, **AWAY, **SCRAM)

    assert status in (1, 3), f"give {line[0]} its arguments in ARGUMENTS: {errors}"
    assert MARK not in output + errors


@pytest.mark.processes
@pytest.mark.parametrize("way", [{}, OAUTH, SECRETS], ids=["plain", "OAUTHBEARER", "all at once"])
def test_no_worker_shows_a_secret_however_it_reaches_kafka(way: dict[str, str]) -> None:
    status, output, errors = run("worker", **way | AWAY)

    assert status == 1
    assert MARK not in output + errors


@pytest.mark.processes
def test_fausts_own_command_line_shows_no_secret() -> None:
    command = [sys.executable, "-m", "faust", "-A", "worker.app", "worker", "-l", "debug"]
    variables = Settings(database_url=AWAY["PROGRESS_DATABASE_URL"], kafka_bootstrap_servers="127.0.0.1:1", http_port=0)
    done = subprocess.run(command, env=environment(variables), capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert MARK not in done.stdout + done.stderr


@pytest.mark.parametrize("url", UNUSABLE)
async def test_the_error_for_an_unusable_url_omits_its_password(url: str) -> None:
    settings = Settings(database_url=url)
    with pytest.raises(ProgressError) as refused:
        await connect(settings)
    with pytest.raises(ProgressError) as refused_by_pool:
        async with ProgressService(settings) as service:
            await service.get_progress_stats(USER)

    assert MARK not in shown(refused.value) + shown(refused_by_pool.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", [["migrate"], ["show", "--user", USER, "--json"], ["worker"]], ids=" ".join)
async def test_a_refused_password_is_not_shown(
    secured: Secured, kafka_bootstrap_servers: str, command: list[str]
) -> None:
    wrong = Settings(
        database_url=secured.url(f"progress_worker:{MARK}"),
        kafka_bootstrap_servers=kafka_bootstrap_servers,
        log_level="DEBUG",
    )
    status, output, errors = run(*command, **environment(wrong))

    assert status == 1
    assert "password authentication failed" in errors
    assert MARK not in output + errors
    with pytest.raises(ProgressError) as refused:
        await connect(wrong)
    assert MARK not in shown(refused.value)


async def test_a_worker_at_work_and_one_that_waits_show_no_secret(
    settings: Settings, secured: Secured, database: str, workers: Workers
) -> None:
    await publish(settings, histories(learners=5, seed=12))
    worker = workers.start(log_level="DEBUG")
    pages: list[str] = []

    async def serves() -> bool:
        return "Uvicorn running on" in worker.log

    await eventually(serves)
    [port] = re.findall(r"Uvicorn running on http://127.0.0.1:(\d+)", worker.log)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def waits() -> bool:
            pages.extend([(await client.get(path)).text for path in ("/live", "/metrics", "/ready")])
            return '"waiting_for":null' not in pages[-1]

        async def works() -> bool:
            return not await waits()

        await eventually(works)
        await execute(secured.admin_url, f"alter database {database} allow_connections false")
        await execute(
            secured.admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
        )
        await publish(settings, histories(learners=5, seed=13))
        await eventually(waits)
    worker.stop()

    assert ESCAPED in settings.database_url.get_secret_value()
    assert MARK in ESCAPED
    assert MARK not in worker.log + "".join(pages)


@pytest.mark.processes
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_bugs_traceback_has_no_variables(form: str) -> None:
    code = """
import structlog
from worker.logs import configure
from worker.settings import settings
configure(settings())
def bug():
    url = settings().database_url.get_secret_value()
    raise RuntimeError(f"a bug with {len(url)} characters")
try:
    bug()
except RuntimeError:
    structlog.get_logger("test").exception("what happened")
"""
    variables = environment(Settings(database_url=AWAY["PROGRESS_DATABASE_URL"], log_format=form))
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)

    assert "a bug with" in done.stderr
    assert MARK not in done.stderr
