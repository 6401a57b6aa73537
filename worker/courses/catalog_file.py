"""Reads versions of courses from a file in JSON or YAML."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from events.catalog import LARGEST_VERSION, AtLeast, CatalogLesson, CoursePublished
from worker.errors import ProgressError
from worker.plain_text import escape

LARGEST_FILE = 4 * LARGEST_VERSION  # bytes: with room for the spaces that people leave
MOST_SHOWN = 5  # mistakes
BESIDE = ("id", "type", "time", "source", "specversion", "published_at")  # the data, in an event and in `catalog show`


class BadCatalogFile(ProgressError):
    """The file is not a version of a course."""


def read_version(path: Path) -> CoursePublished:
    """Reads the version that a file describes. Raises BadCatalogFile, also for a file that describes several."""
    versions = read_versions(path)
    if len(versions) > 1:
        raise BadCatalogFile(f"{path}: describes {len(versions)} courses, and one is expected")
    return versions[0]


def read_versions(path: Path) -> list[CoursePublished]:
    """Reads the versions that a file describes, by the fields of `CoursePublished`: several with `---` between them.

    Raises BadCatalogFile.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadCatalogFile(f"{path}: has more than {LARGEST_FILE:,} bytes")
        found = list(yaml.load_all(path.read_text("utf-8"), Loader=WithoutDates))  # JSON is YAML
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogFile(f"{path}: cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadCatalogFile(f"{path}: neither JSON nor YAML: {' '.join(str(error).split())[:300]}") from error
    return [_build_version(path, each) for each in found or [None]]


def _build_version(path: Path, found: Any) -> CoursePublished:
    if not isinstance(found, dict):
        raise BadCatalogFile(f"{path}: not an object with course_id, version and lessons")
    if unknown := list(_find_unknown(found)):
        raise BadCatalogFile(f"{path}: unknown, so probably a slip: {', '.join(unknown[:MOST_SHOWN])}")
    try:
        return CoursePublished.model_validate(found)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"{'.'.join(map(str, problem['loc'])) or 'version'}: {problem['msg']}" for problem in problems]
        raise BadCatalogFile(f"{path}: {'; '.join(lines[:MOST_SHOWN])}") from error


def _find_unknown(found: dict[Any, Any]) -> Iterator[str]:
    """Yields the members that no field has. An event may have more than this version knows, a file may not."""
    yield from (escape(str(name)) for name in found if name not in CoursePublished.model_fields and name not in BESIDE)
    lessons = found.get("lessons")
    parts: list[tuple[str, object, type[BaseModel]]] = [("rule", found.get("rule"), AtLeast)]
    parts += [("lessons", lesson, CatalogLesson) for lesson in (lessons if isinstance(lessons, list) else ())]
    for where, part, model in parts:
        if isinstance(part, dict):
            yield from (f"{where}: {escape(str(name))}" for name in part if name not in model.model_fields)


class WithoutDates(yaml.SafeLoader):  # type: ignore[misc]
    """Loads YAML as JSON would be: a title such as 2026-11-30 is text, and an alias is refused."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: object, index: object) -> object:
        if self.check_event(yaml.AliasEvent):  # aliases of aliases make gigabytes of a kilobyte
            raise yaml.YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)
