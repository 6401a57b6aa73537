"""Pages are rendered so that others get their turns."""

import asyncio

import pytest
from starlette.exceptions import HTTPException

from worker.web.pages.render import Templates


async def test_while_a_page_is_rendered_others_get_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates("worker.web.pages", login="/login")
    values = {"caller": None, "error": HTTPException(404, "nothing"), "title": "Nothing here"}
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    monkeypatch.setattr("worker.web.pages.render.TURN_S", 3600)
    at_once = await templates.render_in_turns("problem", **values)
    without = turns
    monkeypatch.setattr("worker.web.pages.render.TURN_S", 0)
    in_turns = await templates.render_in_turns("problem", **values)
    other.cancel()

    assert (without, turns > 5) == (0, True)
    assert at_once.body == in_turns.body == templates.render("problem", **values).body
