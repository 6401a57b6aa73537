"""Adds the settings of `course-progress effects` to those of every process."""

from pydantic import Field, PositiveInt

from worker.achievements.settings import AchievementSettings
from worker.certificates.settings import CertificateSettings


class EffectsSettings(CertificateSettings, AchievementSettings):
    """Holds the settings of a process that performs effects."""

    effects_group: str = Field(
        "course-progress-effects",
        description="The consumer group of `course-progress effects`; its stored offsets are kept under the same name",
    )
    effects_at_once: PositiveInt = Field(2, description="How many effects such a process performs at once")

    @property
    def learners_group(self) -> str:
        """Returns the consumer group of the second stream, learners."""
        return f"{self.effects_group}-learners"

    @property
    def lessons_group(self) -> str:
        """Returns the consumer group of the third stream, lesson-events."""
        return f"{self.effects_group}-lessons"
