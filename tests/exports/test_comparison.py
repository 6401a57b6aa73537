"""Two systems agree in what both say, and of several differences the worst is told."""

from datetime import timedelta

import pytest

from tests.factories import at
from worker.exports.comparison import Standing, compare

DONE = Standing(2, 100, at(5))
HALF = Standing(1, 50, None)
NOTHING = Standing(0, 0, None)


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        (DONE, DONE, None),
        (HALF, HALF, None),
        (DONE, HALF, "completed here only"),
        (DONE, None, "completed here only"),
        (DONE, Standing(2, 99.4, None), "completed here only"),
        (DONE, Standing(2, None, None), "completed here only"),  # the system dates completions, and this has none
        (DONE, Standing(2, None, None, dated=False), None),  # the system says nothing of completions
        (DONE, Standing(None, 100, None), None),
        (HALF, DONE, "completed there only"),
        (HALF, Standing(None, 100, None, dated=False), "completed there only"),
        (None, DONE, "completed there only"),
        (DONE, Standing(2, 100, at(6)), None),  # within the tolerance
        (DONE, Standing(2, 100, at(8)), "completed at another time"),
        (HALF, Standing(1, 50.4, None), None),
        (HALF, Standing(1, 52, None), "another percentage"),
        (HALF, Standing(2, None, None), "another number of lessons"),
        (None, HALF, "missing here"),
        (HALF, None, "missing there"),
        (None, NOTHING, None),
        (NOTHING, None, None),
        (None, None, None),
    ],
)
def test_the_worst_difference_is_told(here: Standing | None, there: Standing | None, kind: str | None) -> None:
    found = compare(here, there, timedelta(hours=2))

    assert (found.kind if found else None) == kind
