"""What courses and lessons are called. This system knows ids alone: a website that has a catalogue gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


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
    """The ends of ids: those of UUIDs of version 7 begin alike."""

    def title(self, course_id: UUID) -> str:
        return f"Course {str(course_id)[-8:]}"

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        return None
