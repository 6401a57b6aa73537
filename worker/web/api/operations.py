"""Serves operators: shows the state of workers, streams and dead letters, and replays dead letters."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StrictBool

from worker.deadletters.letter import Position
from worker.deadletters.replay import replay
from worker.deadletters.selection import Selection
from worker.settings import Settings
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.responses import conditional_response, json_response
from worker.web.api.schemas import AS_OF, Answer, CamelModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.limits import count_call
from worker.web.problems import Problem
from worker.web.readers import ReadersDep

log = structlog.get_logger("api")

MOST_POSITIONS = 100
REPLAYED_PER_S = 100


async def require_operator(caller: CallerDep) -> None:
    """Raises a problem, 403, unless the token has the scope `ops`."""
    caller.require(Scope.OPS)


reads = APIRouter(prefix="/api/ops", tags=["ops"], dependencies=[Depends(require_operator), Depends(count_call)])
writes = APIRouter(
    prefix="/api/ops", tags=["ops"], dependencies=[Depends(require_operator)], route_class=guarded_route("writes")
)


# The snapshot


class Partition(CamelModel):
    """Describes a partition of lesson-events. Null means that the value could not be read."""

    partition: int
    end: int | None
    stored: int | None = Field(description="Every event before this offset is applied. Null also where none is")
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    owner: str | None = Field(description="The worker that reads it")


class WorkerStatus(CamelModel):
    """Holds a worker's own report."""

    host: str
    version: str
    started_at: datetime
    events_per_s: float
    busy: float = Field(description="Share of the time in which it worked, from 0 to 1")
    capacity_per_s: float | None
    visible_p50_s: float | None
    visible_p99_s: float | None
    dead_letters: int
    breaker: str | None
    waiting_for: str | None
    silent_s: float = Field(description="Seconds since the report")


class Worker(CamelModel):
    """Describes a worker by its own report, by Kafka's consumer group, or by both."""

    name: str
    running: bool
    partitions: list[int]
    status: WorkerStatus | None


class Letter(CamelModel):
    """Describes a dead letter without its content, which may be about a learner."""

    position: str = Field(description="Partition and offset on the dead letter topic")
    rejected_at: datetime | None
    kind: str
    type: str
    attempts: int
    reason: str
    state: str = Field(description="open, replayed or discarded")
    truncated: str = Field(
        description="What of the record is cut, with its whole size in bytes; empty if the letter has the whole record"
    )


class Letters(CamelModel):
    """Lists the newest dead letters of the topic."""

    records: int = Field(description="Records in the topic: letters, their copies and their resolutions")
    kinds: dict[str, int] = Field(description="Open letters by kind, among the newest")
    latest: list[Letter]


class Outbox(CamelModel):
    """Counts the course events that wait to be published."""

    rows: int
    oldest_s: float


class Recount(CamelModel):
    """Says how far the progress rows of a course are recounted after a version of it was published."""

    course_id: UUID
    title: str | None
    version: int
    rows_seen: int
    rows_expected: int | None = Field(description="Null: its rows are not counted yet")
    started_at: datetime
    finished_at: datetime | None = Field(description="Null: it is under way")


class DisagreeingTotal(CamelModel):
    """Names a course in which events have lately said another total than its newest version needs."""

    course_id: UUID
    title: str | None
    total: int
    needed: int
    at: datetime


class Advice(CamelModel):
    """Says how many workers there should be."""

    workers: int | None = Field(description="Null: it is not known, or more would not help")
    sentence: str
    running: int
    needed: float | None = Field(description="Before it is rounded, and beyond what the partitions allow")
    too_few: bool = Field(description="Whether more should run than do")


class Point(CamelModel):
    """Holds lag and rates at a moment of the last quarter of an hour."""

    at: datetime
    lag: dict[int, int] = Field(description="By partition")
    incoming_per_s: float
    applied_per_s: float


class OpsAnswer(Answer):
    """Shows the whole state. Parts that could not be read are null or empty, and `missing` says why."""

    model_config = with_examples(
        {
            "asOf": AS_OF,
            "missing": {},
            "lag": 12,
            "incomingPerS": 420.5,
            "appliedPerS": 419.0,
            "visibleP50S": 0.011,
            "visibleP99S": 0.034,
            "breaker": None,
            "groupState": "Stable",
            "partitions": [],
            "workers": [],
            "deadLetters": {"records": 0, "kinds": {}, "latest": []},
            "outbox": {"rows": 0, "oldestS": 0},
            "advice": {
                "workers": 1,
                "sentence": "1 worker is enough to keep up.",
                "running": 2,
                "needed": 0.4,
                "tooFew": False,
            },
            "history": [],
            "recounts": [],
            "disagreeingTotals": [],
        }
    )

    missing: dict[str, str]
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    visible_p50_s: float | None = Field(
        description="Seconds from a record's timestamp to its commit, in the last minute"
    )
    visible_p99_s: float | None
    breaker: str | None = Field(description="Why a worker's breaker is open")
    group_state: str | None
    partitions: list[Partition]
    workers: list[Worker]
    dead_letters: Letters | None
    outbox: Outbox | None
    advice: Advice
    history: list[Point]
    recounts: list[Recount]
    disagreeing_totals: list[DisagreeingTotal]


@reads.get("", response_model=OpsAnswer)
async def get_ops(request: Request, readers: ReadersDep) -> Response:
    """Returns lag and throughput per partition, workers, dead letters, outbox, breaker and advice, some seconds old."""
    operations = readers.operations
    snapshot = await operations.snapshot()
    names = OpsAnswer.model_fields.keys() - {"as_of", "history"}
    seen = {name: getattr(snapshot, name) for name in names}
    return conditional_response(
        request, OpsAnswer.model_validate(seen | {"as_of": snapshot.at, "history": operations.history()})
    )


# The replay


class ReplayBody(ClosedModel):
    """Names dead letters by their positions. A dry run only says what a replay would do."""

    model_config = with_examples({"positions": ["3:17"], "dryRun": True})

    positions: list[Annotated[str, Field(pattern="^[0-9]{1,9}:[0-9]{1,18}$")]] = Field(
        min_length=1, max_length=MOST_POSITIONS
    )
    dry_run: StrictBool = False  # lax parsing would take "n" and 0 for a real replay


class ReplayAnswer(Answer):
    """Reports a replay or a dry run. A letter that is not counted is resolved already, or is not a dead letter."""

    model_config = with_examples({"asOf": AS_OF, "dryRun": False, "replayed": 1, "left": {"still schema": 2}})

    dry_run: bool
    replayed: int
    left: dict[str, int] = Field(description="Letters that stay, by reason")


class Replays:
    """Runs one replay at a time in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._busy = asyncio.Lock()

    async def run(self, body: ReplayBody, by: str) -> ReplayAnswer:
        """Replays letters; `by` is noted in their resolutions. Raises a problem, 409, while another replay runs."""
        if self._busy.locked():
            raise Problem(409, "another replay is running")
        chosen = Selection(positions=frozenset(map(Position.parse, body.positions)))
        async with self._busy:
            tally = await replay(self._settings, chosen, rate=REPLAYED_PER_S, dry_run=body.dry_run, by=by)
        log.info("dead letters replayed", by=by, replayed=tally.replayed, dry_run=body.dry_run, asked=body.positions)
        return ReplayAnswer(
            as_of=datetime.now(UTC), dry_run=body.dry_run, replayed=tally.replayed, left=dict(tally.left)
        )


@writes.post("/deadletters/replay", response_model=ReplayAnswer)
async def replay_dead_letters(request: Request, body: ReplayBody, caller: CallerDep) -> Response:
    """Replays the dead letters that today's rules allow. Repeating the call changes nothing. It reads the whole topic
    of dead letters first."""
    replays: Replays = request.app.state.replays
    return json_response(await replays.run(body, str(caller.user_id)))
