"""The browser says its time zone; what no database of zones knows is UTC."""

import pytest

from worker.web.pages.zones import choose_zone


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
    assert str(choose_zone(name)) == name


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
def test_what_is_no_zone_is_utc(name: str | None) -> None:
    assert choose_zone(name) is None
