"""Sends a learner's courses as a live stream of server-sent events: all, then each that changes (docs/api.md).

A badge that the learner is awarded meanwhile is told, too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from worker.achievements.facts import Award
from worker.web.api.achievements import BadgeAnswer, build_badge
from worker.web.api.body_guard import SMALL, limit_body
from worker.web.api.dependencies import LearnerDep
from worker.web.api.progress import encode_cursor
from worker.web.api.progress_poller import ProgressPoller, State, WatchedLearner
from worker.web.api.responses import to_schema
from worker.web.api.schemas import Answer, CourseAnswer, ListAnswer, Progress, RemovedAnswer
from worker.web.auth import CallerDep
from worker.web.connection import ENDS_AT
from worker.web.limits import count_call

HEARTBEAT_S = 15
RECONNECT_MS = 2000
END_WITHIN_S = 2

router = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(count_call)])


class LiveStreamResponse(StreamingResponse):
    """Releases `held` when the client disconnects or the live stream ends."""

    media_type = "text/event-stream"

    def __init__(self, held: ExitStack, events: AsyncIterator[str]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_progress(
    request: Request,
    user: LearnerDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(description="Sent by a browser that connects again")] = None,
) -> Response:
    """Streams the learner's courses as server-sent events: `snapshot`, then `progress` and `removed` as they change,
    and `badge` for one that the learner has just been awarded.
    `unavailable` says that the database is away, `heartbeat` that nothing changed.
    The live stream ends with the token."""
    await drain_body(request)
    poller: ProgressPoller = request.app.state.poller
    # Where nobody reads, the live stream cannot end by itself.
    left_s = max(0, caller.expires_at - time.time()) + END_WITHIN_S
    request.scope[ENDS_AT] = asyncio.get_running_loop().time() + left_s
    held = ExitStack()
    watched = held.enter_context(poller.watch(user, caller.user_id))
    return LiveStreamResponse(held, stream_events(poller, watched, last_event_id, caller.expires_at))


async def drain_body(request: Request) -> None:
    """Reads the body to its end, unused, because a 413 is possible only before the live stream begins."""
    async for _ in limit_body(request, SMALL).stream():
        pass


async def stream_events(
    poller: ProgressPoller, watched: WatchedLearner, last_id: str | None, until: float
) -> AsyncIterator[str]:
    """Yields events until the poller closes, the learner's live stream ends, or the token expires at `until`."""
    yield f"retry: {RECONNECT_MS}\n\n"
    sent: State | None = None
    told: Sequence[Award] | None = None
    said_away = False
    while not (poller.closed or watched.ended) and (left_s := until - time.time()) > 0:
        changed = watched.changed
        if watched.away and not said_away:
            yield format_event("unavailable", None)
            sent, last_id = None, None  # the next snapshot shows that the database is back
        said_away = watched.away
        if watched.state is not None and watched.state is not sent:
            for text in format_changes(sent, watched.state, last_id):
                yield text
            sent, last_id = watched.state, None
        for award in find_new(told, watched.awards):
            badge = build_badge(award, award.awarded_at)
            yield format_event("badge", BadgeAnswer(as_of=award.awarded_at, badge=badge))
        told = watched.awards
        try:
            async with asyncio.timeout(min(HEARTBEAT_S, left_s)):
                await changed.wait()
        except TimeoutError:
            yield format_event("heartbeat", None)


def format_changes(sent: State | None, now: State, last_id: str | None) -> Iterator[str]:
    """Yields the events that bring a client from `sent`, or from the event `last_id`, to `now`.

    Beyond the courses that a state holds, a change is told by a new snapshot.
    """
    if not sent and last_id == str(now.mark):
        return
    answers = list(find_differences(sent, now)) if sent else [build_snapshot_event(now)]
    if sent and not answers and not now.whole and sent.mark != now.mark:
        answers = [build_snapshot_event(now)]
    for number, (name, answer) in enumerate(answers, start=1):
        # Only the last one has the id: a client that has seen it knows all of this state.
        yield format_event(name, answer, now.mark if number == len(answers) else None)


def build_snapshot_event(now: State) -> tuple[str, Answer]:
    items = list(now.courses.values())
    cursor = None if now.whole or not items else encode_cursor(items[-1])
    return "snapshot", ListAnswer(as_of=now.as_of, items=to_schema(items), next_cursor=cursor)


def find_differences(sent: State, now: State) -> Iterator[tuple[str, Answer]]:
    gone = sent.courses.keys() - now.courses.keys()
    if gone and not (sent.whole and now.whole):
        # Whether a course was reset, or others have taken its place among the latest, cannot be told.
        yield build_snapshot_event(now)
        return
    for course_id, progress in now.courses.items():
        if sent.courses.get(course_id) != progress:
            yield "progress", CourseAnswer(as_of=now.as_of, progress=Progress.model_validate(progress))
    for course_id in gone:
        yield "removed", RemovedAnswer(as_of=now.as_of, course_id=course_id)


def find_new(told: Sequence[Award] | None, now: Sequence[Award] | None) -> list[Award]:
    """Returns the awards to celebrate that have come since `told`; None: what there is was not known then."""
    if told is None or now is None:
        return []
    before = {(award.badge, award.number) for award in told}
    return [award for award in now if award.fresh and (award.badge, award.number) not in before]


def format_event(name: str, data: BaseModel | None, id: int | None = None) -> str:
    text = data.model_dump_json(by_alias=True) if data else "{}"
    return (f"id: {id}\n" if id is not None else "") + f"event: {name}\ndata: {text}\n\n"
