"""A zone is known by its name; what the database of zones does not know is none."""

import pytest

from worker.zones import find_zone


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Paris",
        "America/Argentina/Buenos_Aires",
        "Asia/Calcutta",
        "Asia/Kolkata",
        "Etc/GMT+5",
        "UTC",
        "US/Pacific",
    ],
)
def test_a_zone_of_the_database_is_taken(name: str) -> None:
    assert str(find_zone(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "undefined",
        "Mars/Olympus",
        "Europe",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/Paris\0",
        "UTC;",
        "a" * 5000,
        "\ud800",
        "zone.tab",
    ],
)
def test_what_is_no_zone_is_none(name: str | None) -> None:
    assert find_zone(name) is None
