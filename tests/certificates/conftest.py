"""Gives each test of certificates a desk that issues them."""

import asyncpg
import pytest

from tests.certificates.desk import Desk
from worker.certificates.settings import CertificateSettings
from worker.settings import Settings


@pytest.fixture
async def desk(database_settings: Settings, connection: asyncpg.Connection) -> Desk:
    """Returns a desk with the rights of the role course_progress_effects, where no grace is given."""
    await connection.execute("set role course_progress_effects")
    return Desk(connection, CertificateSettings(**database_settings.model_dump(), certificate_grace_s=0))
