"""What courses and lessons are called: a website that has a catalog gives it."""

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


class Catalog(Protocol):
    """Asked for each course on a page: neither may block."""

    def title(self, course_id: UUID) -> str:
        """What the course is called."""

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        """The course's lessons in their order; None where the catalog does not know them."""
