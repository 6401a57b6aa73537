"""Rounds and merges counts of learners, so that no figure of a course singles out a learner. Pure.

The rule, with K = 5 (docs/decisions/0019 has the reasons, and the limits of the protection):

1. A course with fewer than K learners has no figures at all.
2. Every count is rounded down to a multiple of K. So 0 is "fewer than five", and any count stands for K neighbouring
   numbers. Where one group contains another (those who started, and those of them who completed), equal counts hide an
   unknown difference between 0 and K - 1: a subtraction never reveals a number below K.
3. A lesson that fewer than K learners completed is left out. A bucket of fewer than K is merged with its neighbour, so
   that the parts of a whole are never small, and do not determine one another.
4. A share is computed from rounded counts, and only of at least SHARE_FROM learners: of fewer it would be wrong by more
   than eight points.
"""

from collections.abc import Sequence

K = 5
SHARE_FROM = 50


def round_down(learners: int) -> int:
    """Returns the count as it may be published: a multiple of K, 0 for fewer than K."""
    return learners - learners % K


def percent(part: int, whole: int) -> int | None:
    """Returns the share of two exact counts in whole percent; None for fewer than SHARE_FROM learners."""
    return 100 * round_down(part) // round_down(whole) if whole >= SHARE_FROM else None


def merge_small(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Merges neighbouring buckets until each has at least K learners.

    Returns the index of the last bucket of each merged one, and its exact count. Empty for fewer than K in all.
    """
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
