"""Looks up time zones by the names that browsers, websites and operators give them."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def find_zone(name: str | None) -> ZoneInfo | None:
    """Returns the zone of this name in the IANA database; None without a name, or where it has none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        return None
