"""Opens what an API process has of certificates: their rows, what is missing, and a renderer for PDFs."""

import asyncio
import hashlib
import json
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

import structlog

from worker.certificates.certificate import Certificate, build_link
from worker.certificates.did import build_did_document
from worker.certificates.reads import Certificates, IssuedCertificate, is_extra_installed
from worker.certificates.settings import CertificateSettings
from worker.certificates.watch import Reconciliation
from worker.settings import Settings

log = structlog.get_logger("api")


class Rendering(Protocol):
    """Renders certificates."""

    @property
    def versions(self) -> dict[str, str]:
        """Returns all that the bytes depend on beside the row and the public URL. Raises SetupError."""

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes:
        """Returns a PDF. Raises Unavailable when too many are rendered at once, or SetupError."""


class CertificateService:
    """Serves certificates from their rows. An async context manager."""

    def __init__(self, settings: CertificateSettings, renderer: Rendering | None = None) -> None:
        self.settings = settings
        self.public_url = str(settings.public_url).rstrip("/")
        self.reads = Certificates(settings)
        self.reconciliation = Reconciliation(settings)
        self._opened = AsyncExitStack()
        self._renderer = renderer
        self._building = asyncio.Lock()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for part in (self.reads, self.reconciliation):
                await opening.enter_async_context(part)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    def build_link(self, code: str) -> str:
        """Builds the public link of a certificate."""
        return build_link(self.public_url, code)

    async def tag_pdf(self, found: IssuedCertificate) -> str:
        """Returns the ETag of a certificate's PDF, which costs no rendering: it names all that the bytes depend on."""
        renderer = await self._open_renderer()
        versions = await asyncio.to_thread(lambda: renderer.versions)  # which reads files
        parts = [found.certificate.code, found.certificate.issue, found.listed, versions, self.public_url]
        return f'"{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}"'

    async def render(self, found: IssuedCertificate) -> bytes:
        """Renders the PDF, with the credential attached. Raises what `Rendering.render` does."""
        renderer = await self._open_renderer()
        return await renderer.render(found.certificate, json.loads(found.credential))

    async def build_did_document(self) -> dict[str, Any]:
        """Builds the document by which anybody finds the public keys of all credentials. Raises DatabaseUnavailable."""
        return build_did_document(self.public_url, await self.reads.read_keys())

    async def _open_renderer(self) -> Rendering:
        async with self._building:
            if self._renderer is None:
                self._renderer = await asyncio.to_thread(_build_renderer, self.settings)
            return self._renderer


def open_certificates(settings: Settings) -> CertificateService | None:
    """Returns the service, not entered yet, or None in a process that serves no certificates."""
    if not isinstance(settings, CertificateSettings) or settings.public_url is None:
        return None
    if not is_extra_installed():
        log.warning("no certificates are served", reason="pip install 'course-progress[certificates]'")
        return None
    return CertificateService(settings)


def _build_renderer(settings: CertificateSettings) -> Rendering:
    from worker.certificates.rendering import Renderer  # which imports the compiler

    return Renderer(settings)
