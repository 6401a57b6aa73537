"""A consumer tells its group what it has, and not what another consumer of the process has."""

from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from worker.intake.consumer import create_assignor


def test_members_keep_what_they_have_whatever_other_consumers_of_their_processes_have() -> None:
    lessons, catalog = create_assignor(), create_assignor()
    lessons.on_assignment(ConsumerProtocolMemberAssignment(0, [("lesson-events", [1, 3])], b""))
    catalog.on_assignment(ConsumerProtocolMemberAssignment(0, [("course-catalog", [0, 2])], b""))

    told = lessons.parse_member_metadata(lessons.metadata({"lesson-events"}))

    assert set(told.partitions) == {TopicPartition("lesson-events", 1), TopicPartition("lesson-events", 3)}
