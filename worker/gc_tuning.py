"""When Python looks for garbage in cycles: docs/decisions/0016 has what the default costs a worker, 0018 the API."""

import gc

# A batch of 2,000 events is some 50,000 objects, hardly any in a cycle.
COLLECT_AFTER_OBJECTS = 100_000


def collect_rarely() -> None:
    """From now on it does not walk through each batch or request several times, and never through what is there now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
