"""Reads versions of courses from a file, or one from a text, in JSON or YAML."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from events.catalog import LARGEST_VERSION, AtLeast, CatalogLesson, CoursePublished
from worker.errors import ProgressError
from worker.plain_text import escape

LARGEST_FILE = 4 * LARGEST_VERSION  # bytes: with room for the spaces that people leave
LARGEST_LINED = 256 * 1024  # characters of a text whose mistakes have lines: finding these takes seconds a megabyte
MOST_SHOWN = 5  # mistakes
BESIDE = ("id", "type", "time", "source", "specversion", "published_at")  # the data, in an event and in `catalog show`
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Says what is wrong in a text, and in which line; None: the text is too long to look for it."""

    line: int | None
    text: str


class BadCatalogFile(ProgressError):
    """The file is not a version of a course."""

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)


def read_version(path: Path) -> CoursePublished:
    """Reads the version that a file describes. Raises BadCatalogFile, also for a file that describes several."""
    return _require_one(read_versions(path), f"{path}: ")


def read_versions(path: Path) -> list[CoursePublished]:
    """Reads the versions that a file describes, by the fields of `CoursePublished`: several with `---` between them.

    Raises BadCatalogFile.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadCatalogFile(f"{path}: has more than {LARGEST_FILE:,} bytes")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogFile(f"{path}: cannot be read: {error}") from error
    try:
        return parse_versions(text)
    except BadCatalogFile as error:
        raise BadCatalogFile(f"{path}: {error}", error.mistakes) from error


def parse_version(text: str) -> CoursePublished:
    """Reads the version that a text describes. Raises BadCatalogFile, which has each mistake with its line."""
    return _require_one(parse_versions(text), "")


def parse_versions(text: str) -> list[CoursePublished]:
    """Reads the versions that a text describes. Raises BadCatalogFile, which has each mistake with its line."""
    return [_build_version(found, text, number) for number, found in enumerate(load_documents(text) or [None])]


def _require_one(versions: list[CoursePublished], where: str) -> CoursePublished:
    if len(versions) > 1:
        raise BadCatalogFile(f"{where}describes {len(versions)} courses, and one is expected")
    return versions[0]


def _build_version(found: Any, text: str, number: int) -> CoursePublished:
    if not isinstance(found, dict):
        problem = "not an object with course_id, version and lessons"
        raise BadCatalogFile(*_tell("", [((), problem)], text, number))
    if unknown := list(_find_unknown(found)):
        raise BadCatalogFile(*_tell("unknown, so probably a slip: ", unknown, text, number, ", "))
    try:
        return CoursePublished.model_validate(found)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        mistakes = [(problem["loc"], f"{name_place(problem['loc'])}: {problem['msg']}") for problem in problems]
        raise BadCatalogFile(*_tell("", mistakes, text, number)) from error


def load_documents(text: str) -> list[Any]:
    """Loads JSON, or the documents of YAML. Raises BadCatalogFile."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass  # JSON is YAML, whose errors name the line
    try:
        return list(yaml.load_all(text, Loader=WithoutDates))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        message = f"neither JSON nor YAML: {' '.join(str(error).split())[:300]}"
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "this is neither JSON nor YAML"
        raise BadCatalogFile(message, [Mistake(mark and mark.line + 1, f"neither JSON nor YAML: {why}")]) from error


def name_place(place: Place) -> str:
    return ".".join(map(str, place)) or "version"


def find_line(root: yaml.Node | None, place: Place) -> int | None:
    """Returns the line, from 1, in which this part begins, or the closest around it that is there."""
    if root is None:
        return None
    line = root.start_mark.line
    for step in place:
        if isinstance(root, yaml.MappingNode):
            found = next((pair for pair in root.value if pair[0].value == str(step)), None)
            if found is None:
                break
            line, root = found[0].start_mark.line, found[1]
        elif isinstance(root, yaml.SequenceNode) and isinstance(step, int) and step < len(root.value):
            root = root.value[step]
            line = root.start_mark.line
    return int(line) + 1


def _tell(
    intro: str, mistakes: Sequence[tuple[Place, str]], text: str, number: int, between: str = "; "
) -> tuple[str, list[Mistake]]:
    """Returns a message about the first mistakes in this document of the text, and these with their lines."""
    shown = mistakes[:MOST_SHOWN]
    documents = yaml.compose_all(text, Loader=WithoutDates) if len(text) <= LARGEST_LINED else iter(())
    root = next(islice(documents, number, None), None)
    message = intro + between.join(said for _, said in shown)
    return message, [Mistake(find_line(root, place), intro + said) for place, said in shown]


def _find_unknown(found: dict[Any, Any]) -> Iterator[tuple[Place, str]]:
    """Yields the members that no field has. An event may have more than this version knows, a file may not."""
    for name in found:
        if name not in CoursePublished.model_fields and name not in BESIDE:
            yield (name,), escape(str(name))
    lessons = found.get("lessons")
    parts: list[tuple[Place, object, type[BaseModel]]] = [(("rule",), found.get("rule"), AtLeast)]
    listed = enumerate(lessons) if isinstance(lessons, list) else ()
    parts += [(("lessons", number), lesson, CatalogLesson) for number, lesson in listed]
    for place, part, model in parts:
        if isinstance(part, dict):
            for name in part:
                if name not in model.model_fields:
                    yield (*place, name), f"{place[0]}: {escape(str(name))}"


class WithoutDates(yaml.SafeLoader):  # type: ignore[misc]
    """Loads YAML as JSON would be: a title such as 2026-11-30 is text, and an alias is refused."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: object, index: object) -> object:
        if self.check_event(yaml.AliasEvent):  # aliases of aliases make gigabytes of a kilobyte
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias (*name) is not allowed", mark)
        return super().compose_node(parent, index)
