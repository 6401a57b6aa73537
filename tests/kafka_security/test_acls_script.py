"""The script that gives a role its access."""

import os
import subprocess

import pytest

from tests.secured import ACLS

pytestmark = pytest.mark.processes


def acls(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KAFKA_ACLS": "kafka-acls"}
    return subprocess.run([ACLS, *arguments], capture_output=True, text=True, check=False, env=environment)


def test_the_script_prints_what_it_would_run() -> None:
    printed = acls("certificates", "User:CN=badges, O=a school", "--group", "badges", "--", "--bootstrap-server", "b")

    assert printed.returncode == 0
    assert printed.stdout.splitlines() == [
        f"kafka-acls '--bootstrap-server' 'b' '--add' '--allow-principal' 'User:CN=badges, O=a school' {what}"
        for what in (
            "'--operation' 'Read' '--topic' 'course-events'",
            "'--operation' 'Read' '--resource-pattern-type' 'prefixed' '--group' 'badges'",
        )
    ]


def test_only_a_worker_that_asks_for_it_may_read_the_settings_of_topics() -> None:
    usual, more = acls("worker", "User:w"), acls("worker", "User:w", "--topic-settings")

    assert (usual.returncode, more.returncode, "DescribeConfigs" in usual.stdout) == (0, 0, False)
    assert more.stdout.removeprefix(usual.stdout).splitlines() == [
        "kafka-acls '--add' '--allow-principal' 'User:w' "
        "'--operation' 'DescribeConfigs' "
        "'--topic' 'lesson-events' '--topic' 'lesson-events.dlq' '--topic' 'course-catalog'"
    ]


def test_effects_read_in_three_groups_that_are_theirs() -> None:
    printed = acls("effects", "User:e", "--group", "mine", "--learners", "people")

    assert printed.stdout.splitlines() == [
        f"kafka-acls '--add' '--allow-principal' 'User:e' '--operation' {what}"
        for what in (
            "'Read' '--topic' 'course-events' '--topic' 'people' '--topic' 'lesson-events' "
            "'--group' 'mine' '--group' 'mine-learners' '--group' 'mine-lessons'",
            "'Write' '--topic' 'lesson-events.dlq'",
        )
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["worker"],
        ["worker", "worker"],
        ["boss", "User:x"],
        ["worker", "User:x", "--group"],
        ["--no"],
        ["api", "User:x", "--topic-settings"],
    ],
)
def test_the_script_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    refused = acls(*arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1


def test_the_script_explains_itself() -> None:
    explained = acls("--help")

    assert explained.returncode == 0
    assert "Examples:" in explained.stdout
