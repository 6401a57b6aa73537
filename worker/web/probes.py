"""`/live`, `/ready` and `/metrics` of the API, for whoever runs it: a proxy in front shows only /api to the world."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from worker.errors import ProgressError

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def get_live() -> Response:
    return JSONResponse({"live": True})


@router.get("/ready")
async def get_ready(request: Request) -> Response:
    """Whether reads can be answered; that Kafka is away takes no instance out, for it is away for all of them."""
    try:
        await request.app.state.service.reads.fetch("web/ready")
    except ProgressError:
        return JSONResponse({"ready": False, "waiting_for": "PostgreSQL"}, 503)
    return JSONResponse({"ready": True, "waiting_for": None})


@router.get("/metrics")
async def get_metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
