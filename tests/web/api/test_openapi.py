"""The contract is what the code says, and the code does what it says."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance, unsupported_method

from tests.callers import Issuer, authorized, client_of
from tests.processes import ApiProcess
from worker.web.api import openapi
from worker.web.auth import Scope

USER = "6f1c1c9e-52a5-4a3c-9b64-0f3f0a5f7b11"
CONTRACT = schemathesis.openapi.from_path(openapi.FILE)


def test_the_file_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert openapi.main(["--check"]) == 0, capsys.readouterr().err


async def test_the_api_serves_the_file(nowhere: FastAPI) -> None:
    async with client_of(nowhere) as client:
        served = (await client.get("/api/openapi.json")).json()

    assert served == CONTRACT.raw_schema
    assert served["openapi"].startswith("3.1.")


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, found in CONTRACT.raw_schema["paths"].items()
        for method, operation in found.items()
    ]


@pytest.mark.parametrize(("name", "operation"), operations(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_operation_tells_of_its_problems_and_needs_a_token(name: str, operation: dict[str, Any]) -> None:
    [requirement] = operation["security"]
    assert [*requirement] == ["bearer"] == [*CONTRACT.raw_schema["components"]["securitySchemes"]], name
    assert {"400", "401", "403", "429", "500", "503"} <= operation["responses"].keys()
    assert "422" not in operation["responses"]
    assert operation["description"]


# The stream has no end: test_stream.py.
@CONTRACT.exclude(path_regex="/stream$").parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_api_does_what_its_contract_says(case: schemathesis.Case, two: list[ApiProcess], issuer: Issuer) -> None:
    """Sends valid and invalid requests over HTTP to a process over real Kafka and PostgreSQL, beside one worker."""
    headers = authorized(issuer.token(USER, " ".join(Scope), courses="*"))
    but = []
    # A cursor is text to the contract, and most text is none; not all lessons make up a course; not all are known; nor
    # is every name of a zone.
    narrower = ("/versions/" in case.path, case.path.endswith("/waivers"), case.path.startswith("/api/learners/"))
    if "cursor" in (case.query or {}) or any(narrower):
        but.append(positive_data_acceptance)
    if case.method == "GET":  # unknown parameters are ignored, and the token is always sent
        but.append(negative_data_rejection)
    # To GET, a course's invalid id; to PUT, a version's invalid number.
    if case.path.rpartition("/")[2] in ("access", "complete", "reset", "dry-run"):
        but.append(unsupported_method)

    case.call_and_validate(base_url=two[0].address, headers=headers, excluded_checks=but)
