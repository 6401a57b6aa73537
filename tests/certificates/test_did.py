import pytest

from worker.certificates.did import build_did_document, did_of, encode_public_key
from worker.errors import SetupError


@pytest.mark.parametrize(
    ("url", "did"),
    [
        ("https://learn.example", "did:web:learn.example"),
        ("https://learn.example/", "did:web:learn.example"),
        ("https://learn.example:8443/", "did:web:learn.example%3A8443"),
        ("https://learn.example/a/b/", "did:web:learn.example:a:b"),
        ("https://learn.example/a%20b", "did:web:learn.example:a%20b"),
        ("http://127.0.0.1:8000", "did:web:127.0.0.1%3A8000"),
        ("http://[::1]:8000", "did:web:%5B%3A%3A1%5D%3A8000"),
    ],
)
def test_an_address_is_a_name(url: str, did: str) -> None:
    assert did_of(url) == did


@pytest.mark.parametrize(
    "url", ["https://ann:secret@learn.example", "https://learn.example/?a=b", "https://learn.example/#a"]
)
def test_an_address_with_more_than_a_path_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SetupError, match="PROGRESS_PUBLIC_URL") as refused:
        did_of(url)

    assert "secret" not in str(refused.value)


def test_the_document_publishes_every_key() -> None:
    document = build_did_document("https://learn.example/a", {"z1": "z1", "z2": "z2"})

    assert document["id"] == "did:web:learn.example:a"
    assert document["assertionMethod"] == ["did:web:learn.example:a#z1", "did:web:learn.example:a#z2"]
    assert document["verificationMethod"][1] == {
        "id": "did:web:learn.example:a#z2",
        "type": "Multikey",
        "controller": "did:web:learn.example:a",
        "publicKeyMultibase": "z2",
    }


def test_a_public_key_is_written_as_in_the_test_vector_of_1edtech() -> None:
    """See test_signing.py for its source."""
    key = bytes.fromhex("4bdeafde2ea8beefadd8c699b5c7e0704cf51154d52e17b20b71337ca04cc5a5")

    assert encode_public_key(key) == "z6MkjZRZv3aez3r18pB1RBFJR1kwUVJ5jHt92JmQwXbd5hwi"
