"""What a count of learners may tell, so that no figure of a course singles out a learner. Pure.

The rule, with K = 5 (docs/decisions/0019 says why, and what it does not protect from):

1. A course with fewer than K learners has no figures at all.
2. Every count is rounded down to a multiple of K. So 0 is "fewer than five", and any count stands for K neighbouring
   numbers. Two counts that contain one another (those who started, and of them those who completed) differ by an
   unknown amount between 0 and K - 1 when they look the same: nothing below K comes out of a subtraction.
3. What fewer than K learners did is not named: such a lesson is left out, and such a bucket is merged with its
   neighbour, so that the parts of a whole are never small, and do not pin one another down.
4. A share is computed from counts that are shown, and only of at least SHARE_FROM learners: of fewer it would be wrong
   by more than eight points.
"""

from collections.abc import Sequence

K = 5
SHARE_FROM = 50


def rounded_down(learners: int) -> int:
    """The count as it may be told: a multiple of K, 0 for fewer than K."""
    return learners - learners % K


def percent(part: int, whole: int) -> int | None:
    """The share of two exact counts, as whole percent; None where there are too few learners to tell."""
    return 100 * rounded_down(part) // rounded_down(whole) if whole >= SHARE_FROM else None


def merge_small(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring buckets put together until each has at least K: the index of each one's last bucket, and its exact
    count. Empty when there are fewer than K in all."""
    parts: list[tuple[int, int]] = []
    waiting = 0
    for index, count in enumerate(counts):
        waiting += count
        if waiting >= K:
            parts.append((index, waiting))
            waiting = 0
    if not parts:
        return []
    last, count = parts.pop()
    return [*parts, (len(counts) - 1 if waiting else last, count + waiting)]
