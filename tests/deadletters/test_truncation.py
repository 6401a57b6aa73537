"""How a letter that its topic does not take whole becomes shorter, and what it says about that."""

from hashlib import sha256

import pytest

from events.producer import OutgoingRecord
from worker.deadletters.headers import TRUNCATED, VALUE_SHA256
from worker.deadletters.truncation import shorten

OURS = [
    ("dlq_topic", b"lesson-events"),
    ("dlq_partition", b"3"),
    ("dlq_offset", b"41"),
    ("dlq_reason", b"not JSON"),
]


def letter(
    value: bytes | None = b"{", key: bytes | None = b"k", own: list[tuple[str, bytes]] | None = None
) -> OutgoingRecord:
    return OutgoingRecord("dlq", key, value, [*(own or []), *OURS])


def said(shorter: OutgoingRecord) -> str:
    return dict(shorter.headers)[TRUNCATED].decode()


def test_first_the_value_is_cut_and_its_whole_size_is_kept_as_a_bare_number() -> None:
    value = bytes(600_000)

    first, *_ = shorten(letter(value, key=b"k" * 5000, own=[("trace", b"t" * 5000)]))

    assert (first.value, first.key) == (value[:100_000], b"k" * 5000)
    assert first.headers[0] == ("trace", b"t" * 5000)
    assert said(first) == "600000"
    assert dict(first.headers)[VALUE_SHA256].decode() == sha256(value).hexdigest()


def test_then_key_and_headers_are_cut_too_and_each_is_named_with_its_whole_size() -> None:
    small = [("ce_type", b"LessonCompleted"), ("trace", b"t" * 9000), ("ce_id", b"1")]

    _, second, _ = shorten(letter(bytes(600_000), key=b"k" * 5000, own=small))

    assert (second.value, second.key) == (bytes(10_000), b"k" * 1000)
    assert second.headers[:2] == [small[0], small[2]]  # a header is kept whole or not at all
    assert said(second) == f"600000, key 5000, headers {9000 + 5 + 7 + 15 + 5 + 1}"


def test_what_is_small_enough_is_not_cut_before_the_last() -> None:
    second, last = shorten(letter(own=[("trace", b"t" * 9000)]))

    assert (second.value, second.key, said(second)) == (b"{", b"k", "headers 9005")
    assert (last.value, last.key, said(last)) == (b"", b"", "1, key 1, headers 9005")


def test_of_many_small_headers_the_first_are_kept() -> None:
    many = [(f"h{n}", b"") for n in range(50_000)]

    second, _ = shorten(letter(own=many))

    kept = [header for header in second.headers if header not in OURS][:-2]
    assert kept == many[: len(kept)]
    assert 100 < len(kept) < 1000


@pytest.mark.parametrize(("value", "key"), [(None, None), (b"", b"")])
def test_what_the_record_does_not_have_is_not_cut(value: bytes | None, key: bytes | None) -> None:
    *_, last = shorten(letter(value, key, own=[("trace", b"t" * 9000)]))

    assert (last.value, last.key, said(last)) == (value, key, "headers 9005")


def test_a_letter_whose_reason_alone_is_cut_still_has_its_whole_record() -> None:
    whole = letter(own=[("trace", b"t")])
    reason = "é" * 500_000

    second, *_ = shorten(OutgoingRecord("dlq", b"k", b"{", [*whole.headers, ("dlq_reason", reason.encode())]))

    assert (second.value, second.key, second.headers[0]) == (b"{", b"k", ("trace", b"t"))
    assert dict(second.headers)["dlq_reason"].decode() == "é" * 500 + "…"
    assert TRUNCATED not in dict(second.headers)


def test_nothing_is_left_of_a_letter_without_content() -> None:
    assert list(shorten(letter(None, None))) == []
