"""Renders templates, and reads static files."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined

from worker.web.pages.formatting import plural

TURN_S = 0.01
MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """Holds a static file."""

    content: bytes
    media_type: str
    digest: str


@cache
def read_assets() -> dict[str, Asset]:
    """Reads the files of static/, by name."""
    found = {}
    for file in files("worker.web.pages").joinpath("static").iterdir():
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        found[file.name] = Asset(content, MEDIA_TYPES[file.name.rpartition(".")[2]], digest)
    return found


def build_static_url(name: str) -> str:
    """Returns a static file's address. It changes with the content, so a browser may keep the file permanently."""
    return f"/static/{name}?v={read_assets()[name].digest}"


class Templates:
    """Renders the templates of these packages, of which the first one takes precedence."""

    def __init__(self, *packages: str, **everywhere: Any) -> None:
        loaders: list[BaseLoader] = [PackageLoader(package) for package in packages]
        self._environment = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"static_url": build_static_url} | everywhere
        self._environment.filters |= {"plural": plural}

    def render(self, name: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
        """Returns the page `name`.html as a response."""
        text = self._environment.get_template(f"{name}.html").render(**values)
        return HTMLResponse(text, status, headers)

    async def render_in_turns(self, name: str, **values: Any) -> Response:
        """Returns the page as a response. A page can be long: others take their turns after every TURN_S of it."""
        parts = []
        ends = time.monotonic() + TURN_S
        for part in self._environment.get_template(f"{name}.html").generate(**values):
            parts.append(part)
            if time.monotonic() >= ends:
                await asyncio.sleep(0)
                ends = time.monotonic() + TURN_S
        return HTMLResponse("".join(parts))
