"""Builds the bits of a Bitstring Status List (W3C): one for each credential, set where it is revoked. Pure."""

import base64
import gzip
from collections.abc import Iterable
from dataclasses import dataclass

SIZE = 131_072  # bits: the least that the specification allows, so that a reader's interest shows nobody
HALF = SIZE // 2  # places given away of a list before the next begins: a free one is then found in two attempts


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Names the place of a credential: the number of its list, and the index in it."""

    list: int
    index: int


def build_bits(indexes: Iterable[int]) -> bytes:
    """Builds a list in which these bits are set. Index 0 is the leftmost bit, as the specification has it."""
    bits = bytearray(SIZE // 8)
    for index in indexes:
        bits[index // 8] |= 0x80 >> index % 8
    return bytes(bits)


def encode_bits(bits: bytes) -> str:
    """Encodes a list as `encodedList`: gzip, then base64url with multibase's prefix. The same bits, the same text."""
    compressed = gzip.compress(bits, mtime=0)
    return "u" + base64.urlsafe_b64encode(compressed).decode().rstrip("=")
