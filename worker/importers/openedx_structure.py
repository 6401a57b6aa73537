"""Lists the lessons of a course from its structure, as Open edX exports it: blocks by their ids."""

import re
from collections.abc import Iterator
from typing import Any

from worker.importers.records import Listed

# Blocks that only group others, and those whose completion Open edX does not count (XBlockCompletionMode).
GROUPS = ("course", "chapter", "sequential", "vertical", "library_content", "split_test", "conditional", "randomize")
UNCOUNTED = ("discussion", "discussion-course", "about", "static_tab", "course_info", "wiki", "custom_tag_template")
BLOCK = re.compile(r"block-v1:(?P<course>.+?)\+type@")
OLD_BLOCK = re.compile(r"i4x://(?P<org>[^/]+)/(?P<number>[^/]+)/course/(?P<run>[^/]+)")


def list_lessons(structure: Any) -> list[Listed]:
    """Returns the blocks that a learner completes, in the course's order; empty for what is no structure."""
    blocks = structure.get("blocks", structure) if isinstance(structure, dict) else None
    if not isinstance(blocks, dict):
        return []
    blocks = {key: block for key, block in blocks.items() if isinstance(block, dict) and _category(block)}
    root = next((key for key, block in blocks.items() if _category(block) == "course"), None)
    course = name_course(root) if root else None
    if root is None or course is None:
        return []
    title = _name(blocks[root])
    found = dict.fromkeys(_walk(blocks, root, None, set()))
    return [Listed(course, key[:255], title, _name(blocks[key]), section) for key, section in found]


def name_course(root: str) -> str | None:
    """Returns the id of a course, given that of its block."""
    if found := BLOCK.match(root):
        return f"course-v1:{found['course']}"
    if found := OLD_BLOCK.match(root):
        return "/".join(found.group("org", "number", "run"))
    return None


def _walk(blocks: dict[str, Any], key: str, section: str | None, seen: set[str]) -> Iterator[tuple[str, str | None]]:
    """Yields the blocks below one, each once, with the name of its chapter. No depth is too deep."""
    waiting = [(key, section)]
    while waiting:
        key, section = waiting.pop()
        block = blocks.get(key)
        if block is None or key in seen:
            continue
        seen.add(key)
        category = _category(block)
        if category == "chapter":
            section = _name(block)
        children = block.get("children")
        if isinstance(children, list) and children:
            waiting += [(child, section) for child in reversed(children) if isinstance(child, str)]
        elif category not in GROUPS and category not in UNCOUNTED:
            yield key, section


def _category(block: dict[str, Any]) -> str | None:
    found = block.get("category") or block.get("type")
    return found if isinstance(found, str) else None


def _name(block: dict[str, Any]) -> str | None:
    metadata = block.get("metadata")
    found = (metadata if isinstance(metadata, dict) else block).get("display_name") or block.get("display_name")
    return found.strip()[:500] if isinstance(found, str) and found.strip() else None
