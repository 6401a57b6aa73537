"""The page Why over HTTP is the caller's own, and keeps to the rules for scripts."""

import re
from uuid import uuid4

from fastapi import FastAPI

from tests.callers import Issuer, client_of
from tests.web.pages.site import COOKIE
from worker.learners.service import ProgressService


async def test_a_learner_reads_their_own_explanation_and_no_other(
    app: FastAPI, issuer: Issuer, service: ProgressService
) -> None:
    user, course = uuid4(), uuid4()
    await service.mark_lesson_complete(user, course, "<b>", 4)
    async with client_of(app) as client:
        nobody = await client.get(f"/courses/{course}/why")
        client.cookies.set(COOKIE, issuer.token(user))
        own = await client.get(f"/courses/{course}/why")
        unknown = [await client.get(f"/courses/{id}/why") for id in (uuid4(), "first-aid")]
        client.cookies.clear()
        client.cookies.set(COOKIE, issuer.token(uuid4()))
        other = await client.get(f"/courses/{course}/why")

    assert (nobody.status_code, own.status_code, other.status_code) == (401, 200, 404)
    assert [answer.status_code for answer in unknown] == [404, 404]
    assert "You have 1 of the 4 lessons that this course needs. 3 are left." in own.text
    assert "&lt;b&gt;" in own.text
    assert re.findall(r"<script|<style|\sstyle=|\son\w+=|<b>", own.text) == []
