"""While a server is away, calls that do not need it go on, and the others say so."""

import asyncio
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from tests.callers import Issuer, client_of
from tests.databases import execute, new_database
from tests.outages import swallowing
from tests.processes import eventually
from worker.errors import KafkaUnavailable
from worker.kafka.outage_gate import OutageGate
from worker.learners.service import ProgressService
from worker.web import server
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.settings import ApiSettings

READS = ("/api/progress", "/api/progress/stats", "/ready")


async def test_reads_go_on_while_kafka_is_away_and_so_does_a_batch_that_has_no_valid_event(
    shared: ApiSettings, issuer: Issuer, user: UUID, course: UUID
) -> None:
    settings = shared.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    async with ProgressService(settings, publish_timeout_s=1) as service:
        app = create_api(settings, PemKeys(issuer.key_file), service)
        async with client_of(app, issuer.token(user)) as client:
            write = await client.post("/api/progress/reset", json={"courseId": str(course)})
            reads = [(await client.get(path)).status_code for path in READS]
            batch = await client.post("/api/progress/complete/batch", json={"events": [{}]})

    assert (write.status_code, write.headers["Retry-After"]) == (503, "2")
    assert reads == [200, 200, 200]
    assert (batch.status_code, batch.json()["results"][0]["status"]) == (200, "rejected")


async def test_an_absent_database_is_unavailable_until_it_is_back(
    admin_url: str, template: str, shared: ApiSettings, issuer: Issuer, user: UUID
) -> None:
    async with new_database(admin_url, template) as url:
        database = url.rpartition("/")[2]
        settings = shared.model_copy(update={"database_url": SecretStr(url)})
        async with ProgressService(settings) as service:
            app = create_api(settings, PemKeys(issuer.key_file), service)
            async with client_of(app, issuer.token(user)) as client:
                before = await statuses(client)
                await execute(admin_url, f"alter database {database} allow_connections false")
                await execute(
                    admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
                )
                away = await statuses(client)
                await execute(admin_url, f"alter database {database} allow_connections true")

                async def recovers() -> bool:
                    return await statuses(client) == [200, 200, 200]

                await eventually(recovers)

    assert before == [200, 200, 200]
    assert away == [503, 503, 503]


async def test_a_database_that_is_silent_is_unavailable_too_and_the_stream_says_so(
    shared: ApiSettings, issuer: Issuer, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READ_WITHIN_S", 0.5)
    async with swallowing(shared) as (proxy, behind), server.build_service(behind) as service:
        app = create_api(shared, PemKeys(issuer.key_file), service)
        with app.state.poller.watch(user, user) as watched:

            async def known() -> bool:
                return watched.state is not None

            async def away() -> bool:
                return bool(watched.away)

            await eventually(known)
            proxy.swallow(0)
            await eventually(away)
            async with client_of(app, issuer.token(user)) as client:
                silent = await statuses(client)
                proxy.heal()
                await eventually(known)
                healed = await statuses(client)

    assert silent == [503, 503, 503]
    assert healed == [200, 200, 200]


async def statuses(client: httpx.AsyncClient) -> list[int]:
    return [(await client.get(path)).status_code for path in READS]


async def test_a_process_is_live_and_not_ready_without_its_database(nowhere: FastAPI) -> None:
    async with client_of(nowhere) as client:
        live, ready = await client.get("/live"), await client.get("/ready")

    assert (live.status_code, ready.status_code) == (200, 503)
    assert ready.json() == {"ready": False, "waiting_for": "PostgreSQL"}


def attempted(watch: OutageGate, error: Exception | None = None) -> bool:
    """Returns whether the gate let the attempt through."""
    tried = False
    try:
        with watch.attempt():
            tried = True
            if error:
                raise error
    except KafkaUnavailable:
        pass
    return tried


def test_one_write_at_a_time_tries_kafka_again_and_its_success_lets_all_in(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = OutageGate()
    assert attempted(watch, KafkaUnavailable("away"))
    assert not attempted(watch)  # a moment ago

    monkeypatch.setattr(watch, "_retry_at", 0)
    with watch.attempt():
        assert not attempted(watch)  # somebody tries

    assert attempted(watch)
    with watch.attempt():
        assert attempted(watch)


async def test_a_write_that_waits_for_a_worker_does_not_hold_up_others(
    shared: ApiSettings, user: UUID, course: UUID
) -> None:
    """Kafka has acknowledged the write, and so is back."""
    nobodys = shared.model_copy(update={"consumer_group": "nobody", "apply_deadline_s": 30})
    async with ProgressService(nobodys) as service:
        service._kafka._away = True
        waiting = asyncio.create_task(service.update_last_accessed(user, course), name="waiting")
        await asyncio.sleep(0)
        assert not attempted(service._kafka)

        async def lets_others_in() -> bool:
            assert not waiting.done()
            return attempted(service._kafka)

        try:
            await eventually(lets_others_in)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})


def test_a_write_that_fails_for_another_reason_says_nothing_of_kafka() -> None:
    watch = OutageGate()
    with pytest.raises(ValueError, match="other"), watch.attempt():
        raise ValueError("other")

    assert attempted(watch)
