"""Says which lessons a learner has met, by what, and what of their learning does not count (rules 3 and 8)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from worker.courses import explain_words as words
from worker.courses.explain_facts import Facts, LessonContent, LessonFact, Version, WaiverFact
from worker.courses.explanation import Arithmetic, Ground, Ignored, IgnoredLesson, NewestSays, RequiredLesson, State

EARLIEST = datetime.min.replace(tzinfo=UTC)


class Learner:
    """Knows what one learner has met, from the facts."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.reset_at = facts.row.reset_at if facts.row else None
        self.lessons: dict[str, LessonFact] = {
            lesson.lesson_id: lesson for lesson in facts.lessons if lesson.changed_at > (self.reset_at or EARLIEST)
        }
        self.own = find_own_grounds(self.lessons.values(), facts.waivers, self.reset_at)
        self.replaced: dict[str, list[str]] = defaultdict(list)
        for lesson_id, replaced_id in facts.replacements:
            self.replaced[lesson_id].append(replaced_id)

    def ground(self, lesson_id: str) -> list[Ground]:
        """Returns why the lesson is met, the earliest reason first (rule 8); itself before one that it replaces."""
        same = (lesson_id, *(other for other in self.replaced.get(lesson_id, ()) if other != lesson_id))
        grounds = [ground for id in same for ground in self.own.get(id, ())]
        return sorted(grounds, key=lambda ground: ground.at)

    def meet(self, version: Version) -> dict[str, datetime]:
        """Returns the dates of the required lessons of the version that are met."""
        found = ((id, self.ground(id)) for id in version.required)
        return {id: grounds[0].at for id, grounds in found if grounds}


def find_own_grounds(
    lessons: Iterable[LessonFact], waivers: Iterable[WaiverFact], reset_at: datetime | None
) -> dict[str, list[Ground]]:
    """Returns, by lesson, its completion and its waiver, those that count."""
    found: dict[str, list[Ground]] = defaultdict(list)
    for lesson in lessons:
        if lesson.completed and lesson.first_at:
            found[lesson.lesson_id].append(
                Ground(lesson_id=lesson.lesson_id, kind="completed", at=lesson.first_at, reason=None)
            )
    for waiver in waivers:
        counting = [at for at in waiver.waived_at if at > (reset_at or EARLIEST)]
        if counting and max(counting) >= (waiver.withdrawn_at or EARLIEST):
            found[waiver.lesson_id].append(
                Ground(lesson_id=waiver.lesson_id, kind="waived", at=min(counting), reason=waiver.reason)
            )
    return found


def describe_lessons(learner: Learner, version: Version) -> list[RequiredLesson]:
    """Describes the required lessons of the version, in order."""
    contents = describe_contents(learner.facts, version.version)
    return [describe_lesson(learner, id, contents.get(id)) for id in version.required]


def describe_contents(facts: Facts, version: int) -> dict[str, LessonContent]:
    """Returns what the version says of its lessons, by id; of a version that was not read, what the newest says."""
    known = facts.lesson_contents or {}
    number = version if version in known else max(known, default=0)
    return {content.lesson_id: content for content in known.get(number, ())}


def describe_lesson(learner: Learner, lesson_id: str, content: LessonContent | None) -> RequiredLesson:
    """Describes how the learner stands to a lesson."""
    grounds = learner.ground(lesson_id)
    first = grounds[0] if grounds else None
    fact = learner.lessons.get(lesson_id)
    taken_back_at = fact.changed_at if fact and not fact.completed else None
    early_for = find_early(learner, first.at, content) if first and content else []
    return RequiredLesson(
        lesson_id=lesson_id,
        title=content.title if content else None,
        section=content.section if content else None,
        state=find_state(lesson_id, grounds),
        met_at=first.at if first else None,
        grounds=grounds,
        completed_at=fact.completed_at if fact and fact.completed else None,
        taken_back_at=taken_back_at,
        before_prerequisites=early_for,
        sentence=words.tell_lesson(lesson_id, first, taken_back_at, early_for),
    )


def find_early(learner: Learner, met_at: datetime, content: LessonContent) -> list[str]:
    """Returns the lessons that this one requires and that were met later than it, or are not."""
    required = ((id, learner.ground(id)) for id in content.requires)
    return [id for id, grounds in required if not grounds or grounds[0].at > met_at]


def find_state(lesson_id: str, grounds: Sequence[Ground]) -> State:
    kinds = {ground.kind for ground in grounds if ground.lesson_id == lesson_id}
    if kinds:
        return "completed" if "completed" in kinds else "waived"
    return "replaced" if grounds else "missing"


def describe_ignored(learner: Learner, version: Version | None) -> list[IgnoredLesson]:
    """Describes what was completed or waived and does not count, and why. Without a version: the waivers alone."""
    counting = {same for id in version.required for same in (id, *learner.replaced.get(id, ()))} if version else set()
    optional = {lesson.lesson_id for lesson in version.lessons if not lesson.required} if version else set()
    contents = describe_contents(learner.facts, version.version) if version else {}
    naming = find_naming(learner.facts)
    found: list[tuple[str, Ignored, datetime | None]] = []
    for id, grounds in learner.own.items():
        ignored = [ground.at for ground in grounds if version or ground.kind == "waived"]
        if ignored and id not in counting:
            found.append(
                (id, "optional" if id in optional else "not-in-version" if id in naming else "unknown", min(ignored))
            )
    for waiver in learner.facts.waivers:
        if waiver.lesson_id not in learner.own or all(g.kind != "waived" for g in learner.own[waiver.lesson_id]):
            found.append((waiver.lesson_id, *find_lost_waiver(waiver, learner.reset_at)))
    return [
        IgnoredLesson(
            lesson_id=id,
            title=contents[id].title if id in contents else None,
            why=why,
            at=at,
            versions=naming.get(id, []) if why == "not-in-version" else [],
            sentence=words.tell_ignored(why, at, naming.get(id, []), learner.reset_at),
        )
        for id, why, at in found
    ]


def find_naming(facts: Facts) -> dict[str, list[int]]:
    """Returns the versions that name a lesson, by its id; none for one that is only replaced."""
    naming: dict[str, list[int]] = {replaced_id: [] for _, replaced_id in facts.replacements}
    for version in facts.versions:
        for lesson in version.lessons:
            naming.setdefault(lesson.lesson_id, []).append(version.version)
    return naming


def find_lost_waiver(waiver: WaiverFact, reset_at: datetime | None) -> tuple[Ignored, datetime | None]:
    """Says why a waiver does not count, and since when it does not."""
    last = max(waiver.waived_at, default=None)
    if last is None or (waiver.withdrawn_at and waiver.withdrawn_at > last):
        return "waiver-withdrawn", waiver.withdrawn_at
    return "before-reset", last


def compute(lessons: Sequence[RequiredLesson], needed: int) -> Arithmetic:
    """Computes the percentage from the required lessons of a version (rules 3 and 8)."""
    met = [lesson for lesson in lessons if lesson.grounds]
    waived = sum(any(ground.kind == "waived" for ground in lesson.grounds) for lesson in met)
    return compute_numbers(len(met), min(len(met), needed), waived, needed)


def compute_numbers(met: int, counted: int, waived: int, needed: int | None) -> Arithmetic:
    """Computes the percentage exactly as the row has it: halves are rounded up, and 100 is for complete courses."""
    tenths, percentage = 0, 0
    if needed:
        tenths = min(1000, 1000 * counted // needed)
        percentage = 100 if counted >= needed else min(99, (200 * counted + needed) // (2 * needed))
    return Arithmetic(
        met=met,
        waived=waived,
        counted=counted,
        needed=needed,
        exact=tenths / 10,
        percentage=percentage,
        sentence=words.tell_arithmetic(met, counted, needed, tenths, percentage),
    )


def compare_newest(learner: Learner, version: Version, newest: Version) -> NewestSays:
    """Says what the newest version would make of a learner who is complete under an earlier one."""
    lessons = describe_lessons(learner, newest)
    arithmetic = compute(lessons, newest.needed)
    before = {same for id in version.required for same in (id, *learner.replaced.get(id, ()))}
    added = [
        lesson.lesson_id
        for lesson in lessons
        if not lesson.grounds and before.isdisjoint((lesson.lesson_id, *learner.replaced.get(lesson.lesson_id, ())))
    ]
    sentence = words.tell_newest(newest.version, added, arithmetic.percentage, arithmetic.sentence)
    return NewestSays(version=newest.version, lessons=lessons, added=added, arithmetic=arithmetic, sentence=sentence)
