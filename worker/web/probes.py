"""Answers `/live`, `/ready` and `/metrics`, which are for the operator: a proxy in front does not show them."""

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
    """Says whether reads can be answered. Kafka's absence takes no instance out, because it is away for all of them."""
    try:
        await request.app.state.service.reads.fetch("web/ready")
    except ProgressError:
        return JSONResponse({"ready": False, "waiting_for": "PostgreSQL"}, 503)
    return JSONResponse({"ready": True, "waiting_for": None})


@router.get("/metrics")
async def get_metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
