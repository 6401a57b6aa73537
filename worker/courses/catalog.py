"""Defines the catalog that a website may provide: titles of courses, titles and order of lessons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Lesson:
    """Describes a lesson by its id in events; `href` is its page in the website, where it has one."""

    id: str
    title: str
    href: str | None = None
    required: bool = True  # else the course can be complete without it
    replaces: tuple[str, ...] = ()  # earlier lessons whose completion counts as this one's
    section: str | None = None  # the part of the course under which it is listed
    requires: tuple[str, ...] = ()  # lessons to be completed before it


class Catalog(Protocol):
    """Names courses and lessons. Pages call both methods for each course they show, so neither may block."""

    def title(self, course_id: UUID) -> str:
        """Returns the course's title."""

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        """Returns the course's lessons in their order; None where the catalog does not know them."""
