"""Goes through the versions of a course, and says what each of them made of a learner (rules 9 and 10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.courses import explain_words as words
from worker.courses.explain_facts import Version
from worker.courses.explanation import Verdict, VersionStep

EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """Says which version the learner is complete under, and since when."""

    version: int
    completed_at: datetime


def judge_versions(
    versions: Sequence[Version], met: Mapping[int, Mapping[str, datetime]]
) -> tuple[list[VersionStep], Held | None]:
    """Goes through the versions in order (rules 9 and 10): what each says, and how it ends."""
    steps: list[VersionStep] = []
    held: Held | None = None
    since: datetime | None = None
    for version, following in zip(versions, [*versions[1:], None], strict=True):
        if steps:
            since = max(since or EARLIEST, version.published_at)
        until = max(since or EARLIEST, following.published_at) if following else None
        dates = sorted(met[version.version].values())
        enough_at = dates[version.needed - 1] if len(dates) >= version.needed else None
        before = held
        verdict, held = hold(held, version, since, until, enough_at)
        values = {
            "version": version.version,
            "title": version.title,
            "published_at": version.published_at,
            "in_force_from": since,
            "in_force_until": until,
            "policy": version.policy,
            "required": len(version.required),
            "needed": version.needed,
            "met": len(dates),
            "met_enough_at": enough_at,
            "verdict": verdict,
        }
        sentence = words.tell_step(values, before.version if before else None)
        steps.append(VersionStep.model_validate({**values, "sentence": sentence}))
    return steps, held


def hold(
    held: Held | None, version: Version, since: datetime | None, until: datetime | None, enough_at: datetime | None
) -> tuple[Verdict, Held | None]:
    """Takes one step of rules 9 and 10: what the version says, and what the learner is complete under after it."""
    start = since or EARLIEST
    if held and version.policy == "grandfather":
        return "kept", held
    if held and enough_at and enough_at <= max(held.completed_at, start):
        return "met-again", Held(version.version, held.completed_at)
    if enough_at and (until is None or max(enough_at, start) < until):
        return "completed", Held(version.version, max(enough_at, start))
    if held:
        return "reopened", None
    return ("late" if enough_at else "not-complete"), None
