"""A worker notices that another one uses its place in the group."""

import pytest

from worker.errors import SetupError
from worker.intake.membership import PUSHED_OUT, Membership
from worker.settings import Settings


def test_a_worker_pushed_out_of_its_place_again_and_again_is_not_alone() -> None:
    membership = Membership(Settings(group_instance_id="same", session_timeout_s=10))
    for n in range(PUSHED_OUT + 1):
        membership.require_alone()
        membership.note_join(f"member-{n}", now=n)

    with pytest.raises(SetupError, match="PROGRESS_GROUP_INSTANCE_ID=same"):
        membership.require_alone()


def test_rebalances_and_rare_expulsions_are_not_taken_for_another_worker() -> None:
    membership = Membership(Settings(group_instance_id="same", session_timeout_s=10))
    for n in range(100):
        membership.note_join(f"member-{n // 10}", now=n * 2)

    membership.require_alone()
