"""Knows the browser's time zone: zone.js puts its name into a cookie. Pure."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

COOKIE = "progress-zone"  # as in zone.js


def choose_zone(name: str | None) -> ZoneInfo | None:
    """Returns the zone of this name in the IANA database; None without a name, or where it has none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        return None
