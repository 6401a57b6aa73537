"""The ten operations, against a running worker."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from events.models import LessonCompleted
from events.publisher import LessonEventPublisher
from tests.databases import new_database, new_settings
from tests.processes import Workers
from worker.learners.reads import CourseProgress, ProgressStats
from worker.learners.service import ProgressService
from worker.settings import Settings

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest.fixture(scope="module")
async def shared(admin_url: str, template: str, kafka_bootstrap_servers: str) -> AsyncIterator[Settings]:
    async with new_database(admin_url, template) as url:
        yield await new_settings(url, kafka_bootstrap_servers)


@pytest.fixture(scope="module")
def worker(shared: Settings) -> Iterator[None]:
    with Workers(shared) as workers:
        workers.start()
        yield


@pytest.fixture(scope="module")
async def service(shared: Settings, worker: None) -> AsyncIterator[ProgressService]:
    async with ProgressService(shared.model_copy(update={"apply_deadline_s": 60.0})) as service:
        yield service


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


async def complete(service: ProgressService, user: UUID, course: UUID, lessons: int, total: int) -> CourseProgress:
    """The progress after completing that many lessons."""
    for number in range(lessons):
        progress = await service.mark_lesson_complete(user, course, f"lesson-{number}", total)
    assert isinstance(progress, CourseProgress)
    return progress


class TestGet:
    async def test_a_course_without_progress_is_none(self, service: ProgressService, user: UUID, course: UUID) -> None:
        assert await service.get_course_progress(user, course) is None

    async def test_a_course_with_progress_is_its_row(self, service: ProgressService, user: UUID, course: UUID) -> None:
        written = await complete(service, user, course, lessons=1, total=3)

        assert await service.get_course_progress(str(user), str(course)) == written

    async def test_a_user_has_all_courses_the_latest_accessed_first(self, service: ProgressService, user: UUID) -> None:
        first, second, third = uuid4(), uuid4(), uuid4()
        for number, course in enumerate([second, first, third]):
            at = YESTERDAY + timedelta(hours={first: 2, second: 1, third: 0}[course], minutes=number)
            await service.mark_lesson_complete(user, course, "a", 2, occurred_at=at)

        courses = [progress.course_id for progress in await service.get_user_progress(user)]

        assert courses == [first, second, third]

    async def test_completed_courses_are_left_out_when_asked(self, service: ProgressService, user: UUID) -> None:
        finished, begun = uuid4(), uuid4()
        await complete(service, user, finished, lessons=1, total=1)
        await complete(service, user, begun, lessons=1, total=2)

        courses = [progress.course_id for progress in await service.get_user_progress(user, include_completed=False)]

        assert courses == [begun]


class TestComplete:
    async def test_the_first_lesson_creates_the_row(self, service: ProgressService, user: UUID, course: UUID) -> None:
        progress = await service.mark_lesson_complete(user, course, "intro", 4, occurred_at=YESTERDAY)

        assert progress == CourseProgress(
            user_id=user,
            course_id=course,
            lessons_completed=1,
            total_lessons=4,
            progress_percentage=25,
            completed_lessons=("intro",),
            last_lesson_id="intro",
            last_accessed_at=YESTERDAY,
            started_at=YESTERDAY,
            completed_at=None,
            completion_number=0,
        )

    async def test_another_lesson_updates_it(self, service: ProgressService, user: UUID, course: UUID) -> None:
        progress = await complete(service, user, course, lessons=2, total=4)

        assert (progress.lessons_completed, progress.progress_percentage) == (2, 50)

    async def test_the_same_lesson_twice_counts_once(self, service: ProgressService, user: UUID, course: UUID) -> None:
        await service.mark_lesson_complete(user, course, "a", 4)

        progress = await service.mark_lesson_complete(user, course, "a", 4)

        assert isinstance(progress, CourseProgress)
        assert progress.completed_lessons == ("a",)

    async def test_the_last_lesson_completes_the_course_at_its_time(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        await service.mark_lesson_complete(user, course, "a", 2, occurred_at=YESTERDAY - timedelta(hours=1))

        progress = await service.mark_lesson_complete(user, course, "b", 2, occurred_at=YESTERDAY)

        assert isinstance(progress, CourseProgress)
        assert (progress.completed_at, progress.completion_number) == (YESTERDAY, 1)

    @pytest.mark.parametrize(
        ("lessons", "total", "percentage"), [(1, 1, 100), (1, 3, 33), (2, 3, 67), (3, 3, 100), (1, 7, 14), (6, 7, 86)]
    )
    async def test_the_percentage_is_the_nearest_whole_number(
        self, service: ProgressService, user: UUID, course: UUID, lessons: int, total: int, percentage: int
    ) -> None:
        progress = await complete(service, user, course, lessons, total)

        assert (progress.progress_percentage, progress.completed_at is not None) == (percentage, lessons == total)


class TestIncomplete:
    async def test_it_is_none_where_there_was_nothing_to_take_back(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        assert await service.mark_lesson_incomplete(user, course, "a", 2) is None

        progress = await service.get_course_progress(user, course)
        assert progress is not None
        assert (progress.progress_percentage, progress.completed_lessons) == (0, ())
        assert isinstance(await service.mark_lesson_incomplete(user, course, "a", 2), CourseProgress)

    async def test_it_takes_back_a_completion_that_is_on_its_way(
        self, service: ProgressService, shared: Settings, user: UUID, course: UUID
    ) -> None:
        completion = LessonCompleted(user_id=user, course_id=course, lesson_id="a", total_lessons=2)
        servers, topic = shared.kafka_bootstrap_servers, shared.lesson_events_topic
        async with LessonEventPublisher(servers, topic=topic) as publisher:
            await publisher.publish(completion)

            progress = await service.mark_lesson_incomplete(user, course, "a", 2)

        assert isinstance(progress, CourseProgress)
        assert progress.completed_lessons == ()

    async def test_it_is_the_row_where_another_event_began_it(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        await service.update_last_accessed(user, course, occurred_at=YESTERDAY)

        progress = await service.mark_lesson_incomplete(user, course, "a", 2)

        assert isinstance(progress, CourseProgress)
        assert (progress.started_at, progress.completed_lessons) == (YESTERDAY, ())

    async def test_it_removes_the_lesson_and_the_completion(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        await complete(service, user, course, lessons=2, total=2)

        progress = await service.mark_lesson_incomplete(user, course, "lesson-1", 2)

        assert isinstance(progress, CourseProgress)
        assert (progress.completed_lessons, progress.completed_at) == (("lesson-0",), None)

    async def test_a_lesson_that_was_not_completed_changes_nothing(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        before = await complete(service, user, course, lessons=1, total=2)

        progress = await service.mark_lesson_incomplete(user, course, "other", 2)

        assert isinstance(progress, CourseProgress)
        assert (progress.completed_lessons, progress.progress_percentage) == (before.completed_lessons, 50)


class TestResetAndAccess:
    async def test_a_reset_is_true_and_the_progress_is_gone(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        await complete(service, user, course, lessons=1, total=2)

        assert await service.reset_course_progress(user, course) is True
        assert await service.get_course_progress(user, course) is None

    async def test_a_reset_of_nothing_is_false(self, service: ProgressService, user: UUID, course: UUID) -> None:
        assert await service.reset_course_progress(user, course) is False

    async def test_an_access_updates_the_time_and_the_lesson(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        await service.mark_lesson_complete(user, course, "a", 2, occurred_at=YESTERDAY)
        later = YESTERDAY + timedelta(hours=3)

        progress = await service.update_last_accessed(user, course, lesson_id="b", occurred_at=later)

        assert isinstance(progress, CourseProgress)
        assert (progress.last_accessed_at, progress.last_lesson_id) == (later, "b")

    async def test_an_access_creates_a_row_at_0_percent(
        self, service: ProgressService, user: UUID, course: UUID
    ) -> None:
        progress = await service.update_last_accessed(user, course)

        assert isinstance(progress, CourseProgress)
        assert (progress.progress_percentage, progress.total_lessons) == (0, None)


class TestStatsAndBulk:
    async def test_the_statistics_of_nobody_are_zeros(self, service: ProgressService, user: UUID) -> None:
        assert await service.get_progress_stats(user) == ProgressStats(0, 0, 0, 0, 0, 0)

    async def test_the_statistics_cover_all_courses(self, service: ProgressService, user: UUID) -> None:
        await complete(service, user, uuid4(), lessons=2, total=2)
        await complete(service, user, uuid4(), lessons=1, total=3)
        await service.update_last_accessed(user, uuid4())

        stats = await service.get_progress_stats(user)

        assert stats == ProgressStats(
            total_courses=3,
            completed_courses=1,
            in_progress_courses=2,
            lessons_completed=3,
            average_percentage=44,
            summed_percentages=133,
        )

    async def test_no_courses_asked_for_are_none(self, service: ProgressService, user: UUID) -> None:
        assert await service.get_bulk_course_progress(user, []) == {}

    async def test_those_that_exist_are_returned_by_course(self, service: ProgressService, user: UUID) -> None:
        first, second = uuid4(), uuid4()
        wanted = {course: await complete(service, user, course, lessons=1, total=2) for course in (first, second)}

        assert await service.get_bulk_course_progress(user, [first, str(second), uuid4()]) == wanted


class TestHelpers:
    async def test_a_lesson_is_completed_or_not(self, service: ProgressService, user: UUID, course: UUID) -> None:
        await service.mark_lesson_complete(user, course, "a", 2)

        assert await service.is_lesson_completed(user, course, "a") is True
        assert await service.is_lesson_completed(user, course, "b") is False

    async def test_the_percentage_is_the_rows_or_0(self, service: ProgressService, user: UUID, course: UUID) -> None:
        assert await service.get_completion_percentage(user, course) == 0

        await complete(service, user, course, lessons=1, total=2)

        assert await service.get_completion_percentage(user, course) == 50
