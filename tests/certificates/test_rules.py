"""Rules 21 and 22 hold for any history of completions and revocations, in any order."""

import itertools
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.models import CourseCompleted, CourseEvent
from tests.certificates.desk import COURSE, NOON, USER, completed, taken_back
from tests.certificates.owed import find_owed
from worker.certificates.rules import (
    BY_HAND,
    CAUSES,
    Announced,
    Completion,
    Held,
    Issue,
    Revoke,
    Verdict,
    decide,
    judge,
)

REVOKED_BY = frozenset({"learner", "imported", "waived", "recovered"})
DAY = 24 * 60 * 60
LATER = NOON + timedelta(days=30)

histories = st.lists(
    st.one_of(
        st.builds(
            completed,
            st.integers(1, 6),
            st.integers(0, 3),
            at=st.integers(0, 9).map(lambda hour: NOON + timedelta(hours=hour)),
        ),
        st.builds(taken_back, st.integers(1, 7), st.sampled_from(sorted(CAUSES))),
    ),
    max_size=8,
    unique_by=lambda event: (type(event), event.completion_number),
)


def announce(events: list[CourseEvent]) -> list[Announced]:
    """Returns what is kept of these events, of which no two tell of the same."""
    found = []
    for number in {event.completion_number for event in events}:
        fields: dict[str, object] = {}
        for event in events:
            if event.completion_number == number and isinstance(event, CourseCompleted):
                fields |= {"version": event.course_version, "title": event.title, "completed_at": event.completed_at}
            elif event.completion_number == number:
                fields |= {"revoked_at": event.revoked_at, "cause": event.cause}
        found.append(Announced(number, **fields))
    return found


def judge_late(*events: CourseEvent) -> Verdict:
    """Judges when every grace is over."""
    return judge(announce(list(events)), REVOKED_BY, DAY, LATER)


def hold(step: Issue | Revoke | None, before: Held | None) -> Held | None:
    """Returns what is held once the step is done."""
    if isinstance(step, Issue):
        return Held(step.completion, "valid")
    if isinstance(step, Revoke) and before is not None:
        wish = None if step.by_hand else before.wish
        return Held(before.completion, step.status, step.reason, step.by_hand, wish)
    return before


@given(events=histories)
def test_a_certificate_is_owed_as_the_model_says(events: list[CourseEvent]) -> None:
    verdict = judge_late(*events)

    found = {}
    for version, completion in verdict.completions.items():
        ended = "withdrawn" if verdict.cause == "waived" else "revoked"
        status = "valid" if verdict.stands(version) else ended
        found[USER, COURSE, version] = (completion.completed_at, status)
    assert found == find_owed(events, without_catalog=True)


@given(events=histories, order=st.randoms())
def test_the_order_of_what_was_announced_decides_nothing(events: list[CourseEvent], order: Random) -> None:
    shuffled = announce(events)
    order.shuffle(shuffled)

    assert judge(shuffled, REVOKED_BY, DAY, LATER) == judge_late(*events)


@given(events=histories, hours=st.integers(0, 100))
def test_it_changes_when_it_says_and_not_before(events: list[CourseEvent], hours: int) -> None:
    known, now = announce(events), NOON + timedelta(hours=hours)
    verdict = judge(known, REVOKED_BY, DAY, now)

    if verdict.changes_at is None:
        assert judge(known, REVOKED_BY, DAY, LATER) == verdict
    else:
        assert verdict.changes_at > now
        assert judge(known, REVOKED_BY, DAY, verdict.changes_at).standing < verdict.standing
        before = judge(known, REVOKED_BY, DAY, verdict.changes_at - timedelta(microseconds=1))
        assert before.standing == verdict.standing


@given(
    histories=st.lists(histories, min_size=1, max_size=3),
    by_hand=st.booleans(),
    wishes=st.lists(st.sampled_from([None, None, "revoke", "reissue"]), min_size=3, max_size=3),
)
def test_what_is_done_leaves_nothing_to_do_until_something_changes(
    histories: list[list[CourseEvent]], by_hand: bool, wishes: list[str | None]
) -> None:
    """Whatever a certificate was before, one step makes it what it should be."""
    state: Held | None = None
    for events, wish in zip(itertools.accumulate(histories), wishes, strict=False):
        verdict = judge_late(*{(type(e), e.completion_number): e for e in reversed(events)}.values())
        if state is not None:
            state = Held(state.completion, state.status, state.reason, state.by_hand, wish)
        state = hold(decide(verdict, 1, state, may_issue=True), state)

        assert decide(verdict, 1, state, may_issue=True) is None
        if state is not None and 1 in verdict.completions and not state.by_hand:
            assert (state.status == "valid") == verdict.stands(1)
        assert state is not None or not verdict.stands(1)


@pytest.mark.parametrize("cause", sorted(CAUSES - REVOKED_BY))
def test_what_does_not_revoke_does_not(cause: str) -> None:
    assert judge_late(completed(1), taken_back(1, cause)).stands(1)


@pytest.mark.parametrize("cause", [*sorted(REVOKED_BY), "a-cause-of-tomorrow"])
def test_what_revokes_does_after_a_day_and_unknown_causes_are_the_learner_s(cause: str) -> None:
    told = announce([completed(1), taken_back(1, cause)])
    revoked_at = taken_back(1).revoked_at

    assert judge(told, REVOKED_BY, DAY, revoked_at + timedelta(hours=23)).stands(1)
    assert not judge(told, REVOKED_BY, DAY, revoked_at + timedelta(hours=24)).stands(1)


def test_an_operator_may_name_other_causes() -> None:
    told = announce([completed(1), taken_back(1, "course-changed"), completed(2, 2), taken_back(2, "learner")])

    verdict = judge(told, {"course-changed"}, 0, LATER)

    assert (verdict.standing, verdict.stands(1), verdict.stands(2)) == (2, True, True)
    assert not judge(told, {"course-changed", "learner"}, 0, LATER).completions.keys() <= {1}
    assert judge(told, {"course-changed", "learner"}, 0, LATER).standing == 0


def test_a_day_counts_from_when_the_completion_was_taken_back() -> None:
    """So what is revoked for long is never issued, not even for a day, by effects that read everything once more."""
    told = announce([completed(1), taken_back(1, at=NOON)])

    assert judge(told, REVOKED_BY, DAY, NOON).changes_at == NOON + timedelta(days=1)
    assert judge(told, REVOKED_BY, DAY, NOON + timedelta(days=1)).standing == 0


def test_a_revocation_takes_back_all_lower_numbers_and_a_later_completion_brings_them_back() -> None:
    assert judge_late(completed(1), completed(3, 3), taken_back(3)).standing == 0
    assert judge_late(completed(1), completed(3, 3), taken_back(3), completed(4, 4)).standing == 4


def test_a_time_at_the_end_of_all_times_never_comes() -> None:
    end = datetime.max.replace(tzinfo=UTC)

    assert judge(announce([completed(1), taken_back(1, at=end)]), REVOKED_BY, DAY, LATER).changes_at is None


@pytest.mark.parametrize(
    ("cause", "status"), [("learner", "revoked"), ("imported", "revoked"), ("waived", "withdrawn")]
)
def test_it_is_withdrawn_where_the_last_that_was_taken_back_was_waived(cause: str, status: str) -> None:
    verdict = judge_late(completed(1), taken_back(1, "imported"), completed(2, 2), taken_back(2, cause))

    wanted = Revoke(status, cause, False, cause)

    assert decide(verdict, 1, Held(verdict.completions[1], "valid"), may_issue=True) == wanted
    assert decide(verdict, 1, Held(verdict.completions[1], "revoked", "reset"), may_issue=True) == wanted


def test_no_completion_makes_valid_what_somebody_has_revoked() -> None:
    verdict = judge_late(completed(1), completed(2))
    completion = verdict.completions[1]

    revoke = decide(verdict, 1, Held(completion, "valid", wish="revoke", wish_reason="cheated"), may_issue=True)

    assert revoke == Revoke("revoked", "cheated", True, BY_HAND)
    assert decide(verdict, 1, Held(completion, "revoked", "cheated", True), may_issue=True) is None
    again = decide(verdict, 1, Held(completion, "revoked", "cheated", True, "reissue"), may_issue=True)
    assert again == Issue(completion, anew=True)


def test_a_reissue_waits_until_a_completion_stands() -> None:
    verdict = judge_late(completed(1), taken_back(1))
    before = Held(verdict.completions[1], "revoked", "cheated", True, "reissue")

    assert decide(verdict, 1, before, may_issue=True) == Revoke("revoked", "learner", False, "learner")
    assert decide(verdict, 1, Held(before.completion, "revoked", "learner", False, "reissue"), may_issue=True) is None


def test_a_certificate_of_which_no_event_has_told_stays_as_it_is_and_may_be_issued_anew() -> None:
    nothing, completion = judge_late(), Completion(1, None, NOON)

    assert decide(nothing, 1, Held(completion, "valid"), may_issue=True) is None
    assert decide(nothing, 1, Held(completion, "valid", wish="reissue"), may_issue=True) == Issue(completion, True)


def test_a_version_that_may_have_no_new_certificates_keeps_the_old_ones() -> None:
    verdict = judge_late(completed(1, 0))
    ended = judge_late(completed(1, 0), taken_back(1))
    valid = Held(verdict.completions[0], "valid")

    assert decide(verdict, 0, None, may_issue=False) is None
    assert decide(verdict, 0, valid, may_issue=False) is None
    assert isinstance(decide(ended, 0, valid, may_issue=False), Revoke)


def test_a_completion_with_a_lower_number_that_comes_late_is_the_one_that_counts() -> None:
    early, late = judge_late(completed(2)), judge_late(completed(1), completed(2))

    step = decide(late, 1, Held(early.completions[1], "valid"), may_issue=True)

    assert step == Issue(late.completions[1], anew=False)
    assert step.completion.completed_at == completed(1).completed_at
