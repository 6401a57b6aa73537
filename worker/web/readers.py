"""Opens what an API process has beside a learner's progress: courses, people, operations, earnings, certificates."""

from contextlib import AsyncExitStack
from typing import Annotated, Self

from fastapi import Depends, Request

from worker.achievements.reads import Achievements
from worker.achievements.settings import AchievementSettings
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
    """Opens and closes them together, as an async context manager.

    `achievements` and `certificates` are None where they are off.
    """

    def __init__(self, settings: Settings) -> None:
        self.achievements = open_achievements(settings)
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
            if self.achievements is not None:
                await opening.enter_async_context(self.achievements)
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


def open_achievements(settings: Settings) -> Achievements | None:
    """Makes the reader of what learners have earned; None where that is off. Raises SetupError."""
    if isinstance(settings, AchievementSettings) and settings.achievements:
        return Achievements(settings)
    return None


async def achievements(request: Request) -> Achievements:
    """Provides what learners have earned. Raises a problem, 404, where this process does not show it."""
    found: Readers | None = request.app.state.readers
    if found is None or found.achievements is None:
        raise Problem(404, "this website has no streaks and badges")
    return found.achievements


async def certificates(request: Request) -> CertificateService:
    """Provides the certificates. Raises a problem, 404, where this process serves none."""
    found: Readers | None = request.app.state.readers
    if found is None or found.certificates is None:
        raise Problem(404, "this website has no certificates")
    return found.certificates


AchievementsDep = Annotated[Achievements, Depends(achievements)]
CertificatesDep = Annotated[CertificateService, Depends(certificates)]
ReadersDep = Annotated[Readers, Depends(readers)]
