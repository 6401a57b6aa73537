"""Writes the API's contract, OpenAPI 3.1, to `openapi.json` beside this file. A test compares it with the code.

python -m worker.web.api.openapi    # --check writes nothing, and exits 1 if the file is out of date
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from worker.web.api.routes import api_router
from worker.web.api.schemas import ProblemAnswer
from worker.web.problems import MEDIA_TYPE, NAMED, PROBLEMS, TYPE

FILE = Path(__file__).parent / "openapi.json"
ABOUT: dict[str, Any] = {
    "title": "Course progress",
    "version": "1",
    "description": "Shows how far a learner is in each course. The learner is the token's `sub`.",
    "openapi_url": "/api/openapi.json",
    "docs_url": None,  # its page loads scripts from a CDN
    "redoc_url": None,
}
ANYWHERE = (400, 401, 403, 429, 500, 503)
TOKEN = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
WITH_BODY = (408, 413)
WITH_404 = ("/progress/{courseId}", "/lessons", "/complete", "/access", "/reset", "/waivers")  # ends of paths


def build_schema(app: FastAPI) -> dict[str, Any]:
    """Builds the schema, with this API's problems instead of FastAPI's errors."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = schema["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schema["components"]["securitySchemes"] = {"bearer": TOKEN}
        schemas["Problem"] = ProblemAnswer.model_json_schema()
        schema["components"]["responses"] = {f"Problem{status}": build_problem_response(status) for status in PROBLEMS}
        schema["components"]["responses"]["Unchanged"] = {"description": "The client has this content already"}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                complete_operation(operation, path, method)
        app.openapi_schema = schema
    return app.openapi_schema


def complete_operation(operation: dict[str, Any], path: str, method: str) -> None:
    """Adds the token, the problems and the 304 to an operation."""
    operation["security"] = [{"bearer": []}]
    responses = operation["responses"]
    responses.pop("422", None)
    # A course that is not known has no figures and version 0, which is not a 404.
    elsewhere = [
        (404, path.endswith(WITH_404) or "/certificates" in path),
        (409, "replay" in path or "/versions/" in path or (method == "post" and path.endswith("/complete"))),
    ]
    statuses = [
        *ANYWHERE,
        *(WITH_BODY if "requestBody" in operation else ()),
        *(status for status, possible in elsewhere if possible),
    ]
    responses |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}
    if method == "get" and not path.endswith("/stream"):
        responses["304"] = {"$ref": "#/components/responses/Unchanged"}


def build_problem_response(status: int) -> dict[str, Any]:
    titles = dict([PROBLEMS[status]]) | {name: title for name, (of, title) in NAMED.items() if of == status}
    examples = {
        name: {
            "value": {"type": TYPE + name, "title": title, "status": status, "detail": "…", "instance": "/api/progress"}
        }
        for name, title in titles.items()
    }
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    answer: dict[str, Any] = {"description": "; ".join(titles.values()), "content": {MEDIA_TYPE: content}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "In seconds", "schema": {"type": "integer"}}}
    return answer


def render() -> str:
    """Returns the text that the file must have."""
    app = FastAPI(**ABOUT)
    app.include_router(api_router())
    return json.dumps(build_schema(app), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Writes the file. With `--check` it returns 1 if the file is not what the code says."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.web.api.openapi", description="Writes worker/web/api/openapi.json."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    if not parser.parse_args(arguments).check:
        FILE.write_text(render(), "utf-8")
        return 0
    if FILE.exists() and FILE.read_text("utf-8") == render():
        return 0
    print("out of date: worker/web/api/openapi.json (make contract writes it)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
