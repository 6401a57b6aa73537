"""Publishes how to address learners, for whoever knows them. No text of an error repeats what is said of a learner."""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError

from events.learners import LearnerDescribed
from events.producer import PublishFailed
from events.publisher import LearnerPublisher
from worker.errors import ProgressError, SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.kafka.outage_gate import OutageGate
from worker.settings import Settings
from worker.zones import find_zone

PUBLISH_WITHIN_S = 5.0
NOT_A_ZONE = "not a zone of the IANA database, such as Europe/Berlin"
# By field: what is expected.
EXPECTED: Mapping[str, str] = {
    "user_id": "not a UUID",
    "name": "not 1 to 200 characters, none of them a control character",
    "email": "not an address such as ada@mail.example",
    "locale": "not a language tag such as pt-BR",
    "timezone": NOT_A_ZONE,
    "mail": "not true or false for each of milestones and reminders",
}


class BadDescription(ProgressError):
    """The learner cannot be described so: `field` is wrong, and the text says what was expected instead."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


def build_description(fields: Mapping[str, Any]) -> LearnerDescribed:
    """Builds a description, whose zone exists. Raises BadDescription, or SetupError where no zone is known at all."""
    try:
        event = LearnerDescribed.model_validate(fields)
    except ValidationError as error:
        field = str((error.errors(include_input=False)[0]["loc"] or ("user_id",))[0])
        raise BadDescription(field, EXPECTED[field]) from None
    if event.timezone is not None and not is_zone(event.timezone):
        raise BadDescription("timezone", NOT_A_ZONE)
    return event


def is_zone(name: str) -> bool:
    """Tells whether the time zone exists. Raises SetupError where this machine knows no zone at all."""
    if find_zone(name) is not None:
        return True
    if find_zone("UTC") is None:
        raise SetupError("this machine has no database of time zones: pip install tzdata")
    return False


class Descriptions:
    """Publishes descriptions for callers who wait. An async context manager.

    It connects to Kafka at the first call, because an API that describes nobody needs no right to write them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher: LearnerPublisher | None = None
        self._connecting = asyncio.Lock()
        self._kafka = OutageGate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._publisher is not None:
            await self._publisher.__aexit__(*exc_info)

    async def publish(self, event: LearnerDescribed) -> str:
        """Publishes the description, which is durable on return, and returns the event's id.

        Raises KafkaUnavailable, or SetupError where Kafka refuses these credentials.
        """
        with self._kafka.attempt():
            try:
                publisher = await self._connect_publisher()
                return (await publisher.publish(event)).event_id
            except PublishFailed as error:
                raise explain("the description is not published", error) from error

    async def _connect_publisher(self) -> LearnerPublisher:
        async with self._connecting:
            if self._publisher is None:
                publisher = LearnerPublisher(
                    **client_arguments(self._settings),
                    topic=self._settings.learners_topic,
                    source="http-api",
                    timeout_s=PUBLISH_WITHIN_S,
                )
                self._publisher = await publisher.__aenter__()
            return self._publisher
