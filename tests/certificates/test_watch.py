"""Certificates and completions are compared for all readers together, also while PostgreSQL is away."""

import math

import pytest

from tests.processes import eventually
from worker.certificates import watch
from worker.certificates.reconcile import Missing, Unfounded
from worker.certificates.settings import CertificateSettings
from worker.certificates.watch import Reconciliation
from worker.errors import DatabaseUnavailable
from worker.metrics.certificates import LIST_AGE, MISSING, UNFOUNDED

SETTINGS = CertificateSettings(database_url="postgresql://postgres@127.0.0.1:1/none")


class Found:
    """Stands for the database: counts the looks, and finds or fails as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks = 0
        self.missing: list[Missing] = []
        self.error: Exception | None = None
        monkeypatch.setattr(watch, "find_missing", self.find_missing)
        monkeypatch.setattr(watch, "find_unfounded", self.find_unfounded)
        monkeypatch.setattr(watch, "find_age_of_lists", self.find_age_of_lists)

    async def find_missing(self, *_: object) -> list[Missing]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.missing

    async def find_age_of_lists(self, *_: object) -> float:
        return 7.0

    async def find_unfounded(self, *_: object) -> list[Unfounded]:
        return []


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    return Found(monkeypatch)


async def test_many_readers_cost_one_look(found: Found) -> None:
    async with Reconciliation(SETTINGS) as compared:
        for _ in range(100):
            assert (await compared.read()).problem is None

    assert found.looks == 1


async def test_a_reader_gets_news_after_a_while(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FRESH_S", 0.01)
    async with Reconciliation(SETTINGS) as compared:
        await compared.read()
        found.missing = [object()]

        async def news() -> bool:
            return len(compared.latest().missing) == 1

        await eventually(news)

        async def counted() -> bool:
            return (MISSING._value.get(), UNFOUNDED._value.get(), LIST_AGE._value.get()) == (1, 0, 7)

        await eventually(counted)


async def test_a_database_that_is_away_is_told_and_tried_again(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FRESH_S", 0.01)
    found.error = DatabaseUnavailable("PostgreSQL is away")
    async with Reconciliation(SETTINGS) as compared:
        assert (await compared.read()).problem == "PostgreSQL is away"
        assert all(math.isnan(gauge._value.get()) for gauge in (MISSING, UNFOUNDED, LIST_AGE))
        found.error = None

        async def recovered() -> bool:
            return compared.latest().problem is None

        await eventually(recovered)
