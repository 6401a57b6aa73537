"""Says what a statement's verb and result mean for progress."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from worker.importers.records import Kind

# accessed, and completed where the result says so: an attempt that is not complete takes nothing back.
Meaning: TypeAlias = Literal["completed", "uncompleted", "accessed", "progressed", "ignored", "voided"]

ADL, ADL2, TINCAN, VIDEO = (
    "adlnet.gov/expapi/verbs/",
    "w3id.org/xapi/adl/verbs/",
    "id.tincanapi.com/verb/",
    "w3id.org/xapi/video/verbs/",
)
COMPLETED = (
    *(ADL + name for name in ("completed", "passed", "mastered", "satisfied", "waived")),
    *(ADL2 + name for name in ("completed", "passed", "mastered", "satisfied", "waived")),
    "activitystrea.ms/schema/1.0/complete",
    "activitystrea.ms/complete",
    "w3id.org/xapi/dod-isd/verbs/completed",
)
UNCOMPLETED = ("xapi.edlm/profiles/edlm-lms/concepts/verbs/uncompleted", TINCAN + "uncompleted", ADL + "uncompleted")
ACCESSED = (
    *(ADL + name for name in ("initialized", "launched", "attempted", "experienced", "resumed", "suspended")),
    *(ADL + name for name in ("terminated", "exited", "interacted", "answered", "failed", "scored", "responded")),
    *(ADL2 + name for name in ("initialized", "launched", "attempted", "experienced", "resumed", "suspended")),
    *(VIDEO + name for name in ("played", "paused", "seeked", "interacted", "initialized", "terminated")),
    *(TINCAN + name for name in ("viewed", "previewed", "paused", "skipped")),
    *(
        "activitystrea.ms/schema/1.0/" + name
        for name in ("access", "open", "play", "read", "start", "watch", "consume")
    ),
)
VERBS: dict[str, Meaning] = {
    **dict.fromkeys(COMPLETED, "completed"),
    **dict.fromkeys(UNCOMPLETED, "uncompleted"),
    **dict.fromkeys(ACCESSED, "accessed"),
    ADL + "progressed": "progressed",
    ADL2 + "progressed": "progressed",
    ADL + "voided": "voided",
    ADL2 + "voided": "voided",
}
PROGRESS = "w3id.org/xapi/cmi5/result/extensions/progress"
WHOLE = 100


def strip_scheme(iri: str) -> str:
    """Removes `http://` or `https://` and a last slash: people write both."""
    return iri.partition("://")[2].rstrip("/") if iri.startswith(("http://", "https://")) else iri.rstrip("/")


def decide(verb: str, result: object, own: Mapping[str, str]) -> Kind | Literal["voided"] | None:
    """Decides what a statement says of its activity; None: nothing. `own` has the meanings that `--verb` gives."""
    meaning = own.get(strip_scheme(verb)) or VERBS.get(strip_scheme(verb))
    if meaning == "voided" or meaning == "ignored":
        return "voided" if meaning == "voided" else None
    completion, progress = _read_result(result)
    if meaning == "uncompleted":
        return "uncompleted"
    if completion is True or (meaning == "progressed" and completion is None and progress == WHOLE):
        return "completed"
    if meaning == "accessed":
        return "accessed"
    if completion is False:
        return "uncompleted"
    if meaning == "progressed":
        return "accessed"
    return "completed" if meaning == "completed" else None


def _read_result(result: object) -> tuple[bool | None, float | None]:
    """Returns whether the result says completed, and cmi5's progress in percent."""
    if not isinstance(result, dict):
        return None, None
    completion = result.get("completion")
    return completion if isinstance(completion, bool) else None, _read_progress(result.get("extensions"))


def _read_progress(extensions: Any) -> float | None:
    if not isinstance(extensions, dict):
        return None
    for name, value in extensions.items():
        plain = name.replace("&46;", ".")  # as Learning Locker keeps names in MongoDB
        if strip_scheme(plain) == PROGRESS and isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    return None
