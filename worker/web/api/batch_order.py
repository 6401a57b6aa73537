"""Keeps the order of a batch where its times do not tell it: a device's clock may have whole seconds. Pure."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from events.models import MICROSECOND
from worker.web.api.bodies import Item, ResetItem


def put_in_order(items: Mapping[int, Item]) -> dict[int, Item]:
    """Returns the events by their places in the batch, of which no two of one lesson have the same time.

    Times decide. Of events of one lesson with equal times the later in the batch is a microsecond later, and if that is
    the next one's time, so is that one. A reset is an event of every lesson of its course. An event that repeats the
    one before it keeps that one's time. The times depend on the batch alone: sent again, it has the same ones.
    """
    moved: dict[int, Item] = {}
    latest = Latest()
    for place, item in sorted(items.items(), key=lambda each: each[1].occurred_at):
        before = latest.find(item)
        if before is not None and before.occurred_at >= item.occurred_at:
            item = move_behind(item, before)
        moved[place] = item
        latest.note(item)
    return {place: moved[place] for place in items}


def move_behind(item: Item, before: Item) -> Item:
    """Returns the item with the time of the one before it if it is the same event, else a microsecond later."""
    if (same := item.model_copy(update={"occurred_at": before.occurred_at})) == before:
        return same
    at = (before.occurred_at + MICROSECOND).astimezone(item.occurred_at.tzinfo)  # the offset is the device's
    return item.model_copy(update={"occurred_at": at})


class Latest:
    """Remembers the latest event of each lesson, of each course, and the latest reset of each course."""

    def __init__(self) -> None:
        self._of_lessons: dict[tuple[UUID, str | None], Item] = {}  # None: events that name no lesson
        self._of_courses: dict[UUID, Item] = {}
        self._resets: dict[UUID, Item] = {}

    def find(self, item: Item) -> Item | None:
        """Returns the latest event that the item must come after, if their times are equal."""
        course = item.course_id
        if isinstance(item, ResetItem):
            return self._of_courses.get(course)
        found = (self._of_lessons.get((course, item.lesson_id)), self._resets.get(course))
        return max((each for each in found if each is not None), key=_time_of, default=None)

    def note(self, item: Item) -> None:
        course = item.course_id
        if isinstance(item, ResetItem):
            self._resets[course] = item
        else:
            self._of_lessons[course, item.lesson_id] = item
        self._of_courses[course] = max(item, self._of_courses.get(course, item), key=_time_of)


def _time_of(item: Item) -> datetime:
    return item.occurred_at
