import base64
import gzip

from worker.certificates.status_bits import SIZE, build_bits, encode_bits


def test_a_bit_is_counted_from_the_left() -> None:
    bits = build_bits([0, 9, SIZE - 1])

    assert (len(bits), bits[0], bits[1], bits[-1]) == (16_384, 0b1000_0000, 0b0100_0000, 1)
    assert sum(byte.bit_count() for byte in bits) == 3


def test_a_list_is_encoded_as_the_specification_says() -> None:
    bits = build_bits([7, 70_000])
    encoded = encode_bits(bits)

    assert encoded[0] == "u"
    assert "=" not in encoded
    assert gzip.decompress(base64.urlsafe_b64decode(encoded[1:] + "==")) == bits
    assert encode_bits(bits) == encoded, "the time of compression shows"
