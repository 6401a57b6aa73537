"""Opens what an API process has beside a learner's progress: courses, people, operations, certificates."""

from contextlib import AsyncExitStack
from typing import Annotated, Self

from fastapi import Depends, Request

from worker.courses.analytics import CourseAnalytics
from worker.courses.explanations import Explanations
from worker.courses.lessons import KnownLessons
from worker.courses.publishing import CatalogService
from worker.learners.activity import Activity
from worker.learners.descriptions import Descriptions
from worker.operations.watch import Operations
from worker.settings import Settings
from worker.web.certificates import CertificateService, open_certificates
from worker.web.problems import Problem


class Readers:
    """Opens and closes them together, as an async context manager. `certificates` is None where they are off."""

    def __init__(self, settings: Settings) -> None:
        self.analytics = CourseAnalytics(settings)
        self.catalog = CatalogService(settings)
        self.activity = Activity(settings)
        self.explanations = Explanations(settings)
        self.lessons = KnownLessons(settings)
        self.descriptions = Descriptions(settings)
        self.operations = Operations(settings)
        self.certificates = open_certificates(settings)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for part in (
                self.analytics,
                self.catalog,
                self.activity,
                self.explanations,
                self.lessons,
                self.descriptions,
                self.operations,
            ):
                await opening.enter_async_context(part)
            if self.certificates is not None:
                await opening.enter_async_context(self.certificates)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()


async def readers(request: Request) -> Readers:
    """Provides the app's readers."""
    found: Readers = request.app.state.readers
    return found


async def certificates(request: Request) -> CertificateService:
    """Provides the certificates. Raises a problem, 404, where this process serves none."""
    found: Readers | None = request.app.state.readers
    if found is None or found.certificates is None:
        raise Problem(404, "this website has no certificates")
    return found.certificates


CertificatesDep = Annotated[CertificateService, Depends(certificates)]
ReadersDep = Annotated[Readers, Depends(readers)]
