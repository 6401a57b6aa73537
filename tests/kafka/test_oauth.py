"""Access tokens: fetched rarely, renewed in time, and silent about what was sent for them."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.secured import CLIENT_SECRET, MARKED, Endpoint, token_endpoint
from worker.errors import TokenRefused, TokenUnavailable
from worker.kafka import oauth
from worker.kafka.oauth import TokenEndpoint
from worker.settings import Settings


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with token_endpoint() as started:
        yield started


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    clock = Clock()
    monkeypatch.setattr(oauth, "time", clock)
    return clock


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def settings(endpoint: Endpoint, **changed: Any) -> Settings:
    known = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_oauth_token_url": endpoint.url,
        "kafka_oauth_client_id": "worker",
        "kafka_oauth_client_secret": CLIENT_SECRET,
    }
    return Settings(**(known | changed))


async def test_a_token_serves_until_it_nears_its_end(endpoint: Endpoint, clock: Clock) -> None:
    endpoint.lifetime_s = 100
    provider = TokenEndpoint(settings(endpoint))

    first = await provider.token()
    clock.now += 79
    assert await provider.token() == first
    clock.now += 2
    assert await provider.token() != first
    assert len(endpoint.asked) == 2


async def test_while_the_endpoint_is_away_a_token_serves_to_its_end_and_no_longer(
    endpoint: Endpoint, clock: Clock
) -> None:
    endpoint.lifetime_s = 100
    provider = TokenEndpoint(settings(endpoint))
    first = await provider.token()
    endpoint.status = 503

    clock.now += 99
    assert await provider.token() == first
    clock.now += 2
    with pytest.raises(TokenUnavailable):
        await provider.token()


async def test_clients_of_the_same_settings_share_a_token(endpoint: Endpoint) -> None:
    endpoint.lifetime_s = 100
    for provider in (oauth.token_provider(settings(endpoint)), oauth.token_provider(settings(endpoint))):
        await provider.token()

    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, TokenRefused),  # elsewhere the secret would be anybody's
        (400, TokenRefused),
        (403, TokenRefused),
        (429, TokenUnavailable),
        (500, TokenUnavailable),
    ],
)
async def test_what_is_refused_for_good_is_told_from_what_may_pass(
    endpoint: Endpoint, status: int, error: type[Exception]
) -> None:
    endpoint.status = status

    with pytest.raises(error) as raised:
        await TokenEndpoint(settings(endpoint)).token()

    assert len(endpoint.asked) == 1
    assert MARKED not in repr(raised.value)


async def test_an_answer_without_a_token_is_refused(endpoint: Endpoint) -> None:
    endpoint.status = 201

    with pytest.raises(TokenRefused):
        await TokenEndpoint(settings(endpoint)).token()


async def test_an_endpoint_that_is_not_there_may_come_back(endpoint: Endpoint) -> None:
    away = settings(endpoint, kafka_oauth_token_url="http://127.0.0.1:1/token")

    with pytest.raises(TokenUnavailable):
        await TokenEndpoint(away).token()


async def test_callers_at_the_same_time_wait_for_one_fetch_and_share_its_outcome(endpoint: Endpoint) -> None:
    endpoint.lifetime_s = 100
    provider = TokenEndpoint(settings(endpoint))
    endpoint.status = 503
    refused = await asyncio.gather(*(provider.token() for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in refused} == {TokenUnavailable}
    assert len(endpoint.asked) == 1

    endpoint.status = 200
    assert len(set(await asyncio.gather(*(provider.token() for _ in range(20))))) == 1
    assert len(endpoint.asked) == 2


def test_a_provider_serves_one_event_loop_after_the_other_and_several_at_once(endpoint: Endpoint) -> None:
    endpoint.lifetime_s = 0.001
    provider = TokenEndpoint(settings(endpoint))

    async def ask() -> list[str]:
        return await asyncio.gather(*(provider.token() for _ in range(5)))

    with ThreadPoolExecutor() as threads:
        found = [asyncio.run(ask()), *threads.map(lambda _: asyncio.run(ask()), range(5))]

    assert all(token for tokens in found for token in tokens)
    assert provider._renewing == {}


async def test_a_caller_that_is_cancelled_takes_no_other_with_it(endpoint: Endpoint) -> None:
    endpoint.lifetime_s = 100
    provider = TokenEndpoint(settings(endpoint))
    first, second = (asyncio.create_task(provider.token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert await second
    assert len(endpoint.asked) == 1
