"""What can go wrong, by who can act on it. Bad input is no error but a value: `decode.Rejected`."""


class ProgressError(Exception):
    """Anything this system raises on purpose. The text is one line: what is wrong, and what to do."""


class Unavailable(ProgressError):
    """A server is away or busy. Repeat the call: whether or not it took effect, repeating is safe."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, refuses connections, or gave up on the statement."""


class TookTooLong(DatabaseUnavailable):
    """PostgreSQL ended the statement at its time limit: it is busy, or the statement is too large for it."""


class TooMuchToCount(TookTooLong):
    """A course's figures cannot be had within their time limit, and are not asked for again for a minute."""


class KafkaUnavailable(Unavailable):
    """Kafka cannot be reached or does not answer in time."""


class AgentGone(Unavailable):
    """The agent was cancelled with a batch in hand. Faust starts it anew."""


class ValueRefused(ProgressError):
    """The database refuses a value of the batch; the same batch will always be refused."""


class SetupError(ProgressError):
    """Somebody has to change something before this can run: a setting, a migration, a topic, a version."""


class OffsetBeyondLog(SetupError):
    """The stored offset lies beyond the end of its partition: the topic was recreated or truncated."""


class TokenUnavailable(KafkaUnavailable, OSError):
    """No access token for Kafka can be had at present. An OSError, which aiokafka takes for a failed connection."""


class TokenRefused(SetupError, OSError):
    """The token endpoint does not know us, or is none. An OSError, which aiokafka takes for a failed connection."""


class TopicRecreated(SetupError):
    """The topic was deleted and created anew: the stored offsets count in a log that is gone."""


class BreakerOpen(ProgressError):
    """So many records are rejected that somebody has to look before they become dead letters."""


class Bug(ProgressError):
    """The worker is wrong. It stops before it does harm, and the same will happen again."""


class InvalidUserId(ProgressError):
    """The user id is not a UUID."""


class InvalidCourseId(ProgressError):
    """The course id is not a UUID."""


class InvalidTime(ProgressError):
    """The time is naive, or before the year 2000."""


class InvalidLesson(ProgressError):
    """The lesson id or the number of lessons is outside what an event can carry."""
