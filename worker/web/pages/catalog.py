"""What courses and lessons are called. This system knows ids alone: a website that has a catalogue gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from worker.web.pages.formatting import short


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson by its id in events; `href` is its page in the website, where it has one."""

    id: str
    title: str
    href: str | None = None


class Catalogue(Protocol):
    """Asked for each course on a page: neither may block."""

    def title(self, course_id: UUID) -> str:
        """What the course is called."""

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        """The course's lessons in their order; None where the catalogue does not know them."""


class NoCatalogue:
    """Ids, shortened."""

    def title(self, course_id: UUID) -> str:
        return f"Course {short(course_id)}"

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        return None
