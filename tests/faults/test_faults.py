"""Plays a short share of the fault suite (`make faults` plays all of it), and proves that the suite can fail."""

import random
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from events.producer import OutgoingRecord
from tests.faults import FAULTS, garbage
from tests.faults.catalog_faults import publish_under_load
from tests.faults.comparison import missing_dead_letters
from tests.faults.fault import Fault, play
from tests.faults.load import STAMPED
from tests.faults.opening import open_scene
from tests.faults.order_faults import freeze_before_publishing
from tests.faults.proof import require_refusal
from tests.faults.recovery_faults import lose_commits
from tests.faults.scene import Scene
from tests.faults.servers import Servers
from tests.faults.service_faults import website_failed_over
from tests.faults.worker_faults import kill_at, thaw_after_partitions_moved
from worker.learners.applied import AppliedOffsets
from worker.stream.cut_record import KEPT_VALUE, LARGEST_RECORD
from worker.stream.outcome import Record

# One process plays all of them, because it owns the servers that they kill.
pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(300), pytest.mark.processes]
SEED = 4
# Of each file of faults one or two, so that a change that breaks the suite is seen before `make faults`.
SHARE = [
    *("killed-after-commit", "zombie", "rolling-restart-static", "connections-terminated", "disk-full"),
    *("broker-killed", "log-truncated", "kafka-cut", "bad-input", "clocks-apart", "killed-in-recount"),
    *("failed-over-asynchronously", "learners-in-two-partitions", "website-failed-over"),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers(print) as running:
        yield running


@pytest.mark.parametrize("name", SHARE)
async def test_nothing_is_lost_and_nothing_is_wrong(servers: Servers, name: str) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]

    outcome = await play(servers, fault, SEED)

    assert "\n".join(outcome.broken) == ""
    assert outcome.events > 500


async def without_compare_and_swap(scene: Scene) -> None:
    await thaw_after_partitions_moved(scene, "without-compare-and-swap")


async def without_the_outboxs_transaction(scene: Scene) -> None:
    await kill_at(scene, "without-the-outboxs-transaction", 2)


async def without_waiting_for_dead_letters(scene: Scene) -> None:
    scene.learners.odd_share = 0.3
    await kill_at(scene, "without-waiting-for-dead-letters", 10)


async def find_red(servers: Servers, run: Callable[[Scene], Awaitable[None]], figure: str, **kept: int) -> int:
    """Plays a sabotage that needs two processes to race until its figure is not 0, up to three times. Returns it."""
    for seed in range(SEED, SEED + 3):
        outcome = await play(servers, Fault(run, 1, {}), seed)
        for name, expected in kept.items():
            assert getattr(outcome, name) == expected
        if found := getattr(outcome, figure):
            return int(found)
    return 0


async def test_the_suite_goes_red_without_the_compare_and_swap(servers: Servers) -> None:
    assert await find_red(servers, without_compare_and_swap, "wrong_rows") > 0


async def test_the_suite_goes_red_when_the_outbox_is_written_outside_the_transaction(servers: Servers) -> None:
    assert await find_red(servers, without_the_outboxs_transaction, "completions_missed") > 0


async def test_the_suite_goes_red_when_nobody_waits_for_a_dead_letter(servers: Servers) -> None:
    assert await find_red(servers, without_waiting_for_dead_letters, "dead_letters_missing") > 0


async def newest_first(scene: Scene) -> None:
    scene.publish()
    worker = scene.start("newest-first:0")
    await scene.wait_until_ready(worker)
    await scene.pause(6, 8)


async def lost_commits_unnoticed(scene: Scene) -> None:
    await lose_commits(scene, "without-looking-at-offsets:0")


async def test_the_suite_goes_red_when_course_events_are_published_newest_first(servers: Servers) -> None:
    assert await find_red(servers, newest_first, "completions_missed", wrong_rows=0) > 0


async def older_rows_not_awaited(scene: Scene) -> None:
    await freeze_before_publishing(scene, "without-waiting-for-older-rows:0")


async def without_the_epoch(scene: Scene) -> None:
    await publish_under_load(scene, "without-the-epoch:0")


async def test_the_suite_goes_red_when_a_batch_is_written_by_a_version_that_is_old(servers: Servers) -> None:
    assert await find_red(servers, without_the_epoch, "wrong_rows") > 0


async def nothing_happens(scene: Scene) -> None:
    scene.start()
    await scene.publish(at_most=100)


async def test_the_suite_goes_red_when_a_course_event_does_not_wait_for_older_ones(servers: Servers) -> None:
    assert await find_red(servers, older_rows_not_awaited, "completions_missed", wrong_rows=0) > 0


async def test_a_fault_that_does_not_prove_that_it_happened_is_broken(servers: Servers) -> None:
    outcome = await play(servers, Fault(nothing_happens, 1, {}), SEED)

    assert outcome.broken[0] == "the fault does not prove that it happened"


async def test_the_suite_goes_red_when_a_website_calls_done_what_is_not_applied(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(*_: object, **__: object) -> bool:
        return True

    monkeypatch.setattr(AppliedOffsets, "_has_passed", at_once)

    outcome = await play(servers, Fault(website_failed_over, 1, {}), SEED)

    assert "called done, and not in the row then" in "\n".join(outcome.broken)


async def test_the_suite_goes_red_when_lost_commits_are_not_noticed(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.scene.RECOVERS_WITHIN_S", 20)

    outcome = await play(servers, Fault(lost_commits_unnoticed, 1, {}), SEED)

    assert "wait_until_recovered" in "".join(outcome.broken)


async def test_a_topic_that_takes_records_counts_as_no_fault(servers: Servers) -> None:
    async with open_scene(servers, SEED) as scene:
        await require_refusal(scene, scene.settings.course_events_topic, "NOT_ENOUGH_REPLICAS")

        assert "takes records" in "".join(scene.unexpected)
        assert scene.proofs == 0


@pytest.mark.parametrize(("kept", "missing"), [((("x", b"1"),), 0), ((), 1)])
def test_a_dead_letter_has_its_records_headers_but_those_that_are_named_as_ours(
    kept: tuple[tuple[str, bytes], ...], missing: int
) -> None:
    sent = OutgoingRecord("t", None, b"{", [("dlq_kind", b"theirs"), ("x", b"1")], STAMPED)
    ours = (("dlq_topic", b"t"), ("dlq_partition", b"0"), ("dlq_offset", b"7"), ("dlq_kind", b"json"))
    letter = Record("t.dlq", 0, 0, STAMPED, 0, None, b"{", None, 0, 0, (*kept, *ours))

    assert len(missing_dead_letters([(("t", 0, 7), sent)], [letter])) == missing


@pytest.mark.parametrize(
    ("size", "value", "digest", "missing"),
    [
        (LARGEST_RECORD, bytes(LARGEST_RECORD), None, 0),
        (LARGEST_RECORD, bytes(KEPT_VALUE), sha256(bytes(LARGEST_RECORD)), 1),
        (LARGEST_RECORD + 1, bytes(KEPT_VALUE), sha256(bytes(LARGEST_RECORD + 1)), 0),
        (LARGEST_RECORD + 1, bytes(KEPT_VALUE), sha256(b"another"), 1),
        (LARGEST_RECORD + 1, bytes(LARGEST_RECORD + 1), None, 1),
    ],
)
def test_a_dead_letter_has_its_record_byte_for_byte_up_to_2_mib(
    size: int, value: bytes, digest: Any, missing: int
) -> None:
    sent = OutgoingRecord("t", None, bytes(size), [], STAMPED)
    ours = [("dlq_topic", b"t"), ("dlq_partition", b"0"), ("dlq_offset", b"7")]
    if digest:
        ours.append(("dlq_value_sha256", digest.hexdigest().encode()))
    letter = Record("t.dlq", 0, 0, STAMPED, 0, None, value, None, 0, 0, tuple(ours))

    assert len(missing_dead_letters([(("t", 0, 7), sent)], [letter])) == missing


def test_garbage_is_drawn_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(garbage, "bases", lambda number: drawn.append(number) or [(b"x", [])])

    garbage.garbage("lesson-events", random.Random(1))

    assert drawn
