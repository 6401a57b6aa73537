"""Which descriptions of learners can be, and that what is wrong with one is told without it."""

from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfoNotFoundError

import pytest

from worker import zones
from worker.errors import SetupError
from worker.learners.descriptions import EXPECTED, BadDescription, build_description, is_zone

SECRET = "Zuleikha Quisling"
GOOD = {"user_id": str(uuid4()), "name": SECRET, "timezone": "America/Argentina/Buenos_Aires"}


@pytest.mark.parametrize(
    ("name", "known"),
    [("UTC", True), ("Asia/Kathmandu", True), ("Europe", False), ("Mars/Base", False), ("/etc/localtime", False)],
)
def test_a_zone_is_known_or_not(name: str, known: bool) -> None:
    assert is_zone(name) is known


def test_a_machine_that_knows_no_zone_says_so_instead_of_refusing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_zone(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zones, "ZoneInfo", no_zone)

    with pytest.raises(SetupError, match="pip install tzdata"):
        build_description(GOOD)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": SECRET}, "user_id"),
        ({"name": SECRET * 20}, "name"),
        ({"email": SECRET}, "email"),
        ({"locale": SECRET}, "locale"),
        ({"timezone": SECRET}, "timezone"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"mail": SECRET}, "mail"),
        ({"mail": {"milestones": SECRET}}, "mail"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_and_not_repeated(change: dict[str, Any], field: str) -> None:
    assert build_description(GOOD).name == SECRET

    with pytest.raises(BadDescription) as caught:
        build_description(GOOD | change)

    assert str(caught.value) == f"{field}: {EXPECTED[field]}"
