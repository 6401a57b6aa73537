"""Over TLS, whoever is known gets in, and nobody else."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests import secured
from tests.kafka_security.journey import certificate_is_due, complete_a_course, percentage
from tests.kafka_security.users import known_worker, names, user, with_certificate, with_token
from tests.processes import Workers, environment, eventually
from tests.secured import MARKED, Endpoint, Secured
from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import client_arguments
from worker.kafka.permissions import require_access, worker_permissions


@pytest.mark.parametrize("how", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "certificate"])
async def test_a_worker_does_its_job_over_tls_however_it_is_known(
    broker: Secured, endpoint: Endpoint, how: str, database_url: str, connection: asyncpg.Connection
) -> None:
    learner = await complete_a_course(broker)

    with Workers(known_worker(how, broker, endpoint, database_url=database_url)) as workers:
        worker = workers.start("--until-idle")

        assert worker.wait() == 0
        assert MARKED not in worker.log
    assert await percentage(connection, learner) == 100
    assert await certificate_is_due(broker, learner)


async def test_a_worker_outlives_its_tokens(
    broker: Secured, endpoint: Endpoint, database_url: str, connection: asyncpg.Connection
) -> None:
    with Workers(with_token(broker, endpoint, database_url=database_url, kafka_oauth_scope="kafka")) as workers:
        worker = workers.start()

        async def has_asked_again() -> bool:
            return len(endpoint.asked) >= 3

        await eventually(has_asked_again)
        learner = await complete_a_course(broker)

        async def applied() -> bool:
            return await percentage(connection, learner) == 100

        await eventually(applied)
        assert worker.stop() == 0
    assert endpoint.asked[0] == {"grant_type": ["client_credentials"], "scope": ["kafka"]}


async def test_a_token_file_is_read_at_every_connection(broker: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = user(
        broker, "worker", "OAUTHBEARER", kafka_sasl_username=None, kafka_sasl_password=None, kafka_oauth_token_file=file
    )
    reach = client_arguments(settings)
    with pytest.raises(KafkaUnavailable):
        await require_access(reach, worker_permissions(settings))
    file.write_text(secured.unsecured_jwt("worker", lifetime_s=-60))
    with pytest.raises(SetupError):
        await require_access(reach, worker_permissions(settings))

    file.write_text(secured.unsecured_jwt("worker", lifetime_s=60) + "\n")

    await require_access(reach, worker_permissions(settings))


@pytest.mark.parametrize("how", ["SCRAM-SHA-512", "OAUTHBEARER", "no authority"])
async def test_a_worker_that_is_refused_says_why_once_and_ends(
    broker: Secured, endpoint: Endpoint, how: str, database_url: str
) -> None:
    wrong = f"{MARKED}-and-wrong"
    refused = {
        "OAUTHBEARER": lambda: with_token(broker, endpoint, wrong, database_url=database_url),
        "no authority": lambda: user(broker, "worker", kafka_ssl_ca_file=None, database_url=database_url),
    }
    settings = refused.get(how, lambda: user(broker, "worker", how, wrong, database_url=database_url))()

    with Workers(settings) as workers:
        worker = workers.start()

        assert worker.wait() == 1
        [reason] = worker.reasons
        assert "PROGRESS_KAFKA_" in reason
        assert MARKED not in worker.log


@pytest.mark.parametrize(
    "command", [["watch"], ["publish", "CourseAccessed", "--user", str(uuid4()), "--course", str(uuid4())]]
)
def test_a_command_with_a_wrong_password_says_so_in_one_line(broker: Secured, command: list[str]) -> None:
    settings = user(broker, "player", password=f"{MARKED}-and-wrong")

    ended = subprocess.run(
        [sys.executable, "-m", "worker.cli", *command],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert "PROGRESS_KAFKA_SASL_" in line
    assert MARKED not in line


async def test_who_has_no_certificate_or_a_strangers_is_refused(broker: Secured) -> None:
    pem = broker.stranger
    stranger = with_certificate(broker, pem.certificate, pem.key)
    nobody = stranger.model_copy(update={"kafka_ssl_certificate_file": None, "kafka_ssl_key_file": None})

    for settings in (stranger, nobody):
        with pytest.raises(SetupError):
            await require_access(client_arguments(settings), {})


def test_a_key_with_another_password_is_refused_without_asking_the_terminal(broker: Secured) -> None:
    pem = broker.client
    for password in (None, "another"):
        settings = with_certificate(broker, pem.certificate, pem.encrypted_key, kafka_ssl_key_password=password)

        with pytest.raises(SetupError, match="PROGRESS_KAFKA_SSL_CERTIFICATE_FILE"):
            client_arguments(settings)


async def test_a_certificate_of_another_host_is_refused(broker: Secured) -> None:
    settings = user(broker, "worker", kafka_bootstrap_servers=broker.sasl.replace("127.0.0.1", "localhost"))

    with pytest.raises(SetupError):
        await require_access(client_arguments(settings), {})


async def test_the_wrong_protocol_for_a_port_is_guessed(broker: Secured) -> None:
    in_clear = names(kafka_bootstrap_servers=broker.sasl)
    without_sasl = user(
        broker,
        "worker",
        kafka_security_protocol="SSL",
        kafka_sasl_mechanism=None,
        kafka_sasl_username=None,
        kafka_sasl_password=None,
    )
    with_tls = user(broker, "worker", kafka_bootstrap_servers=broker.admin)

    for settings in (in_clear, without_sasl, with_tls):
        with pytest.raises(KafkaUnavailable, match="PROGRESS_KAFKA_SECURITY_PROTOCOL"):
            await require_access(client_arguments(settings), {})
