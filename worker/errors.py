"""Defines the errors, by who can act on them. Bad input is not an error but a value: `Rejected`."""


class ProgressError(Exception):
    """This system raised the error on purpose. Its text is one line: what is wrong, and what to do."""


class Unavailable(ProgressError):
    """A server is away or busy. Repeat the call: repeating is safe, whether or not it took effect."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, refuses connections, or gave up on the statement."""


class TookTooLong(DatabaseUnavailable):
    """PostgreSQL ended the statement at its time limit: it is busy, or the statement is too large for it."""


class TooMuchToCount(TookTooLong):
    """A course's figures took longer than their time limit. They are not computed again for a minute."""


class TooMuchToCompare(TookTooLong):
    """A dry run for a caller who waits took longer than its time limit. The command line has none."""


class KafkaUnavailable(Unavailable):
    """Kafka cannot be reached or does not answer in time."""


class RenderingBusy(Unavailable):
    """So many certificates are being rendered that another one would wait too long."""


class AgentGone(Unavailable):
    """The agent was cancelled while it had a batch. Faust starts it again."""


class ValueRefused(ProgressError):
    """The database refuses a value of the batch, and will refuse the same batch every time."""


class SetupError(ProgressError):
    """An operator has to change something before this can run: a setting, a migration, a topic, a version."""


class WorkersTooOld(SetupError):
    """A worker runs that does not know versions of courses, and would count by totals."""


class OffsetBeyondLog(SetupError):
    """The stored offset lies beyond the end of its partition: the topic was recreated or truncated."""


class CannotRender(SetupError):
    """A template, a font, a picture or a setting has to change before this certificate can be rendered."""


class TokenUnavailable(KafkaUnavailable, OSError):
    """Kafka's token endpoint or token file gives no token now. aiokafka takes an OSError for a failed connection."""


class TokenRefused(SetupError, OSError):
    """The token endpoint refuses us, or the URL is not one. aiokafka takes an OSError for a failed connection."""


class TopicRecreated(SetupError):
    """The topic was deleted and created again: the stored offsets count in a log that is gone."""


class BreakerOpen(ProgressError):
    """So many records are rejected that an operator has to look before they become dead letters."""


class Bug(ProgressError):
    """The worker is wrong. It stops before it does harm, and the same will happen again."""


class VersionKnown(ProgressError):
    """The version of the course is known with another content, and a version never changes."""


class UnknownCertificate(ProgressError):
    """No certificate has this code."""


class InvalidUserId(ProgressError):
    """The user id is not a UUID."""


class InvalidCourseId(ProgressError):
    """The course id is not a UUID."""


class InvalidTime(ProgressError):
    """The time is naive, or before the year 2000."""


class InvalidLesson(ProgressError):
    """The lesson id or the number of lessons is outside the range of an event."""
