"""Adds the settings of streaks and badges: whoever awards or shows them has these."""

from pydantic import Field, FilePath

from worker.settings import Settings


class AchievementSettings(Settings):
    """Holds the settings of a process that awards or shows badges."""

    achievements: bool = Field(
        True,
        description="Whether `course-progress effects` reads lesson events, keeps active days and awards badges",
    )
    badges_file: FilePath | None = Field(
        None, description="A TOML file that declares badges ([badges](badges.md)), instead of our own"
    )
    streak_forgives_every: int = Field(
        0,
        ge=0,
        le=365,
        description="A streak survives single missing days that are at least so many days apart; 0: none",
    )
