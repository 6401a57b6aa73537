"""Makes Python collect cycles rarely. docs/decisions/0016 has the default's cost for a worker, 0018 for the API."""

import gc

# A batch of 2,000 events has about 50,000 objects, and hardly any is in a cycle.
COLLECT_AFTER_OBJECTS = 100_000


def collect_rarely() -> None:
    """Exempts the objects that exist now, and keeps Python from walking through a batch or request several times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
