"""A broker with TLS, SASL and ACLs, once for all tests of a process."""

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import secured
from tests.kafka_security.users import LESSONS, OTHER, ROLES, USERS, names
from tests.secured import Endpoint, Secured, token_endpoint
from worker.devstack.kafka_jars import find_jars, find_java
from worker.devstack.process import Unavailable
from worker.kafka.topics import create_missing


@pytest.fixture(scope="package")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    try:
        find_java()
        find_jars(print)
    except Unavailable as reason:
        if os.environ.get("REQUIRE_SERVERS"):
            raise
        pytest.skip(str(reason))
    with secured.secured(tmp_path_factory.mktemp("secured"), USERS) as started:
        for lessons in (LESSONS, OTHER):
            await create_missing(names(kafka_bootstrap_servers=started.admin, lesson_events_topic=lessons))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda role: started.allow(role, *ROLES[role]), ROLES))
        yield started


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with token_endpoint() as started:
        yield started
