"""For whoever runs the workers: how it all is, and dead letters produced again."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StrictBool

from worker.deadletters.letter import Position
from worker.deadletters.replay import replay
from worker.deadletters.selection import Selection
from worker.settings import Settings
from worker.web.api.body_guard import guarded_route
from worker.web.api.responses import conditional_response, json_response
from worker.web.api.schemas import AS_OF, Answer, CamelModel, ClosedModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.limits import count_call
from worker.web.problems import Problem
from worker.web.readers import ReadersDep

log = structlog.get_logger("api")

MOST_POSITIONS = 100
REPLAYED_PER_S = 100


async def require_operator(caller: CallerDep) -> None:
    """Raises a problem, 403."""
    caller.require(Scope.OPS)


reads = APIRouter(prefix="/api/ops", tags=["ops"], dependencies=[Depends(require_operator), Depends(count_call)])
writes = APIRouter(
    prefix="/api/ops", tags=["ops"], dependencies=[Depends(require_operator)], route_class=guarded_route("writes")
)


# What is seen


class Partition(CamelModel):
    """A partition of lesson-events. Null is what was not to be had."""

    partition: int
    end: int | None
    stored: int | None = Field(description="Every event before this offset is applied")
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    owner: str | None = Field(description="The worker that reads it")


class WorkerStatus(CamelModel):
    """What a worker says of itself."""

    host: str
    version: str
    started_at: datetime
    events_per_s: float
    busy: float = Field(description="The share of the time in which it worked")
    capacity_per_s: float | None
    visible_p50_s: float | None
    visible_p99_s: float | None
    dead_letters: int
    breaker: str | None
    waiting_for: str | None
    silent_s: float = Field(description="How long ago it said so")


class Worker(CamelModel):
    """As it describes itself, as Kafka's group has it, or both."""

    name: str
    running: bool
    partitions: list[int]
    status: WorkerStatus | None


class Letter(CamelModel):
    """A dead letter. Its content is not here: it may be about a learner."""

    position: str = Field(description="Partition and offset on the dead letter topic")
    rejected_at: datetime | None
    kind: str
    type: str
    attempts: int
    reason: str
    state: str = Field(description="open, replayed or discarded")


class Letters(CamelModel):
    """The newest of the dead letter topic."""

    records: int = Field(description="In the topic: letters, their copies, and what became of them")
    kinds: dict[str, int] = Field(description="Of open letters, among the newest")
    latest: list[Letter]


class Outbox(CamelModel):
    """Course events that wait to be published."""

    rows: int
    oldest_s: float


class Advice(CamelModel):
    """How many workers there should be."""

    workers: int | None
    sentence: str


class Point(CamelModel):
    """A moment of the last quarter of an hour."""

    at: datetime
    lag: dict[int, int] = Field(description="By partition")
    incoming_per_s: float
    applied_per_s: float


class OpsAnswer(Answer):
    """How it all is. What could not be had is null or empty, and `missing` says why."""

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
            "advice": {"workers": 1, "sentence": "1 worker is enough to keep up."},
            "history": [],
        }
    )

    missing: dict[str, str]
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    visible_p50_s: float | None = Field(description="From a record's timestamp to its commit, in the last minute")
    visible_p99_s: float | None
    breaker: str | None = Field(description="Why a worker takes nothing any more")
    group_state: str | None
    partitions: list[Partition]
    workers: list[Worker]
    dead_letters: Letters | None
    outbox: Outbox | None
    advice: Advice
    history: list[Point]


@reads.get("", response_model=OpsAnswer)
async def get_ops(request: Request, readers: ReadersDep) -> Response:
    """Lag and throughput per partition, workers, dead letters, outbox, breaker, and advice; some seconds old."""
    operations = readers.operations
    snapshot = await operations.snapshot()
    names = OpsAnswer.model_fields.keys() - {"as_of", "history"}
    seen = {name: getattr(snapshot, name) for name in names}
    return conditional_response(
        request, OpsAnswer.model_validate(seen | {"as_of": snapshot.at, "history": operations.history()})
    )


# What is done


class ReplayBody(ClosedModel):
    """Dead letters by their positions. A dry run only says what would become of them."""

    model_config = with_examples({"positions": ["3:17"], "dryRun": True})

    positions: list[Annotated[str, Field(pattern="^[0-9]{1,9}:[0-9]{1,18}$")]] = Field(
        min_length=1, max_length=MOST_POSITIONS
    )
    dry_run: StrictBool = False  # lax, "n" and 0 would be a replay


class ReplayAnswer(Answer):
    """What became of them, or would have. Those in neither are resolved already, or no dead letters."""

    model_config = with_examples({"asOf": AS_OF, "dryRun": False, "replayed": 1, "left": {"still schema": 2}})

    dry_run: bool
    replayed: int
    left: dict[str, int] = Field(description="Those that stay, by why")


class Replays:
    """One at a time in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._busy = asyncio.Lock()

    async def run(self, body: ReplayBody, by: str) -> ReplayAnswer:
        """`by` is noted in the topic of dead letters as who did it. Raises a problem, 409, while another runs."""
        if self._busy.locked():
            raise Problem(409, "a replay is running")
        chosen = Selection(positions=frozenset(map(Position.parse, body.positions)))
        async with self._busy:
            tally = await replay(self._settings, chosen, rate=REPLAYED_PER_S, dry_run=body.dry_run, by=by)
        log.info("dead letters replayed", by=by, replayed=tally.replayed, dry_run=body.dry_run, asked=body.positions)
        return ReplayAnswer(
            as_of=datetime.now(UTC), dry_run=body.dry_run, replayed=tally.replayed, left=dict(tally.left)
        )


@writes.post("/deadletters/replay", response_model=ReplayAnswer)
async def replay_dead_letters(request: Request, body: ReplayBody, caller: CallerDep) -> Response:
    """Produces dead letters again that today's rules allow. Repeating it changes nothing; it reads the whole topic of
    dead letters first."""
    replays: Replays = request.app.state.replays
    return json_response(await replays.run(body, str(caller.user_id)))
