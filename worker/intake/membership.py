"""Notices when another worker keeps taking this one's place in the consumer group. Pure."""

from collections import deque

from worker.errors import SetupError
from worker.settings import Settings

PUSHED_OUT = 5  # times within as many session timeouts


class Membership:
    """Notices another worker with the same static id.

    Kafka gives their one place to the worker that joined last, with a new member id. aiokafka learns only that its
    member id is unknown, and takes the place back: the two would go on without end, each applying a little in between.
    """

    def __init__(self, settings: Settings) -> None:
        self._static_id = settings.group_instance_id
        self._within_s = PUSHED_OUT * settings.session_timeout_s
        self._member_id = ""
        self._pushed_out: deque[float] = deque(maxlen=PUSHED_OUT)

    def note_join(self, member_id: str, now: float) -> None:
        """Notes the member id of a rebalance, which changes when this worker's place was taken.

        A rebalance alone does not change it; a worker that was silent for too long gets a new one, once.
        """
        if self._member_id and member_id != self._member_id:
            self._pushed_out.append(now)
        self._member_id = member_id

    def require_alone(self) -> None:
        """Raises SetupError when another worker keeps taking this one's place."""
        times = self._pushed_out
        if self._static_id and len(times) == PUSHED_OUT and times[-1] - times[0] < self._within_s:
            raise SetupError(
                f"another worker runs with PROGRESS_GROUP_INSTANCE_ID={self._static_id}: it has taken this one's place "
                f"in the consumer group {PUSHED_OUT} times within {times[-1] - times[0]:.0f} s. Give each worker an id "
                "of its own. Nothing is lost"
            )
