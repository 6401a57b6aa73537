"""Reads the file that declares badges. Its vocabulary is closed: numbers that only grow, and nothing is executed."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from events.models import BADGE_PATTERN
from worker.errors import SetupError

OURS = Path(__file__).parent / "badges.toml"
MOST_BADGES = 200

BadgeId = Annotated[str, StringConstraints(pattern=BADGE_PATTERN)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Closed(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Condition(Closed):
    """Says of one number how high it must be, or which course must be completed."""

    streak: int | None = Field(None, ge=1, le=10_000)
    courses: int | None = Field(None, ge=1, le=10_000)
    lessons: int | None = Field(None, ge=1, le=100_000)
    course: Annotated[UUID | None, Field(strict=False)] = None

    @model_validator(mode="before")
    @classmethod
    def _require_one(cls, value: Any) -> Any:
        known = [*cls.model_fields]
        if isinstance(value, dict) and (unknown := [name for name in value if name not in known]):
            raise PydanticCustomError(
                "unknown",
                "no condition is called {name}: there are {known}",
                {"name": unknown[0], "known": ", ".join(known)},
            )
        if isinstance(value, dict) and len(value) != 1:
            raise PydanticCustomError("one", "has one condition; several stand in a list under all_of", {})
        return value


class When(Condition):
    """Says when a badge is earned: one condition, or all of several."""

    all_of: tuple[Condition, ...] | None = Field(None, min_length=2, max_length=10, strict=False)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return self.all_of or (self,)


class Badge(Closed):
    """Declares a badge."""

    id: BadgeId
    title: Text
    description: Text
    when: When
    revocable: bool = False

    @model_validator(mode="after")
    def _require_revocable_course(self) -> Self:
        if self.revocable and self.when.course is None:
            raise PydanticCustomError("revocable", "only a badge of one course is revocable", {})
        return self

    @property
    def rule(self) -> str:
        """Writes what decides, as JSON: where it differs, the badge has another rule."""
        return self.model_dump_json(include={"when", "revocable"}, exclude_none=True)

    def list_thresholds(self) -> list[int]:
        """Lists how many lessons it asks for."""
        return [condition.lessons for condition in self.when.conditions if condition.lessons]


def read_badges(path: Path | None) -> tuple[Badge, ...]:
    """Reads the badges that a file declares, in its order; without one our own. Raises SetupError, which says where."""
    path = path or OURS
    try:
        return parse_badges(path.read_text("utf-8"))
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from error
    except (SetupError, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: {error}") from error


def parse_badges(text: str) -> tuple[Badge, ...]:
    """Parses the text of a file of badges. Raises SetupError."""
    try:
        declared = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SetupError(f"not TOML: {error}") from error
    if len(declared) > MOST_BADGES:
        raise SetupError(f"declares {len(declared)} badges: there may be {MOST_BADGES}")
    badges = []
    for name, body in declared.items():
        if not isinstance(body, dict) or "id" in body:
            raise SetupError(f"badge {name}: is a table with title, description and when")
        try:
            badges.append(Badge(id=name, **body))
        except ValidationError as error:
            raise SetupError(f"badge {name}: {_explain(error)}") from error
        except TypeError as error:  # a key that no argument can have
            raise SetupError(f"badge {name}: {error}") from error
    return tuple(badges)


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'badge'}: {p['msg']}" for p in problems[:3])
