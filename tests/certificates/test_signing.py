"""What is signed here is verified by Digital Bazaar's library, and nothing else than what was signed."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from openbadgeslib.ob3.ldp import OB3LdpVerifier, add_data_integrity_proof

from tests.certificates.examples import CERTIFICATE, PUBLIC_URL, new_key, signing_settings
from tests.certificates.node import find_verifier
from worker.certificates.did import build_did_document, did_of
from worker.certificates.signing import CannotSign, Signer, read_keys
from worker.certificates.status_bits import ListPlace, build_bits, encode_bits

PLACE = ListPlace(1, 77)
NOW = datetime.now(UTC)
NO_KEY = "there is no key"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(signing_settings(new_key(tmp_path)))


def published(signer: Signer, *revoked: int, signed_at: datetime = NOW) -> dict[str, Any]:
    """Returns what a stranger fetches, by address: the issuer's keys and its list, with these bits set."""
    return {
        did_of(PUBLIC_URL): build_did_document(PUBLIC_URL, signer.public_keys),
        f"{PUBLIC_URL}/credentials/status/1": signer.sign_status_list(1, build_bits(revoked), signed_at),
    }


def sign(signer: Signer, **changed: Any) -> str:
    return json.dumps(signer.sign_certificate(replace(CERTIFICATE, **changed), PLACE, "ada@example.org"))


# 1EdTech's own test vector: https://github.com/1EdTech/openbadges-specification, ob_v3p0/impl/linked-data-proof-ob.md,
# at 47fa8253. Its credential is in terms of contexts of 2022; VOCABULARY gives each term what they made of it.
SEED = bytes.fromhex("6241a409e6707bb640a0140a8a32bc3d193c33a661747284d6adfa4ed4180be4")
METHOD = "https://example.edu/issuers/565049#z6MkjZRZv3aez3r18pB1RBFJR1kwUVJ5jHt92JmQwXbd5hwi"
PROOF_VALUE = "zUSD5bjo6mYV1n9i9E6ZwUiHuj4JyZDjCDfDqoJcPi9XJrc9LYstik9mdBvutdwBdquWXjWrwJDVGJrAarvRs8uD"
OB, VC, SECURITY, TEXT = (
    "https://purl.imsglobal.org/spec/vc/ob/vocab.html#",
    "https://www.w3.org/2018/credentials#",
    "https://w3id.org/security#",
    "https://www.w3.org/2001/XMLSchema#string",
)
VOCABULARY = {
    "id": "@id",
    "type": "@type",
    "VerifiableCredential": f"{VC}VerifiableCredential",
    "credentialSubject": {"@id": f"{VC}credentialSubject", "@type": "@id"},
    "issuer": {"@id": f"{VC}issuer", "@type": "@id"},
    "issuanceDate": {"@id": f"{VC}issuanceDate", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"},
    "OpenBadgeCredential": f"{OB}OpenBadgeCredential",
    "AchievementSubject": f"{OB}AchievementSubject",
    "Achievement": f"{OB}Achievement",
    "Profile": f"{OB}Profile",
    "achievement": {"@id": f"{OB}Achievement", "@type": "@id"},
    "criteria": {"@id": f"{OB}Criteria", "@type": "@id"},
    "narrative": {"@id": f"{OB}narrative", "@type": TEXT},
    "name": {"@id": "https://schema.org/name", "@type": TEXT},
    "description": {"@id": "https://schema.org/description", "@type": TEXT},
    "url": {"@id": "https://schema.org/url", "@type": "https://www.w3.org/2001/XMLSchema#anyURI"},
    "DataIntegrityProof": f"{SECURITY}DataIntegrityProof",
    "created": {"@id": "http://purl.org/dc/terms/created", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"},
    "cryptosuite": f"{SECURITY}cryptosuite",
    "proofPurpose": {"@id": f"{SECURITY}proofPurpose", "@type": "@vocab"},
    "assertionMethod": f"{SECURITY}assertionMethod",
    "verificationMethod": {"@id": f"{SECURITY}verificationMethod", "@type": "@id"},
}
VECTOR = {
    "@context": "urn:vocabulary",
    "id": "http://example.com/credentials/3527",
    "type": ["VerifiableCredential", "OpenBadgeCredential"],
    "issuer": {
        "id": "https://example.edu/issuers/565049",
        "type": ["Profile"],
        "url": "https://www.imsglobal.org",
        "name": "Example Corp",
    },
    "issuanceDate": "2010-01-01T00:00:00Z",
    "name": "Teamwork Badge",
    "credentialSubject": {
        "id": "did:example:ebfeb1f712ebc6f1c276e12ec21",
        "type": ["AchievementSubject"],
        "achievement": {
            "id": "https://example.com/achievements/21st-century-skills/teamwork",
            "type": ["Achievement"],
            "criteria": {
                "narrative": "Team members are nominated for this badge by their peers and recognized upon review by "
                "Example Corp management."
            },
            "description": "This badge recognizes the development of the capacity to collaborate within a group "
            "environment.",
            "name": "Teamwork",
        },
    },
}


def test_the_test_vector_of_1edtech_is_reproduced() -> None:
    """The signature covers both hashes of the vector, so both are right if it is."""
    pem = Ed25519PrivateKey.from_private_bytes(SEED).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    created = datetime(2010, 1, 1, 19, 23, 24, tzinfo=UTC)
    contexts = {"urn:vocabulary": {"@context": VOCABULARY}}

    signed = add_data_integrity_proof(VECTOR, pem, METHOD, created=created, extra_contexts=contexts)

    assert signed["proof"]["proofValue"] == PROOF_VALUE


@pytest.mark.processes
def test_a_stranger_sees_that_a_credential_is_valid_and_then_that_it_is_revoked(signer: Signer) -> None:
    verifier, credential = find_verifier(), sign(signer)

    assert verifier.verify(published(signer, 76, 78), [credential]) == [(True, False, None)]
    assert verifier.verify(published(signer, 77), [credential]) == [(True, True, None)]


@pytest.mark.processes
def test_a_stranger_needs_a_list_that_is_no_older_than_two_days(signer: Signer) -> None:
    two_days_ago = NOW - timedelta(hours=48, minutes=10)

    (verdict,) = find_verifier().verify(published(signer, signed_at=two_days_ago), [sign(signer)])

    assert not verdict.verified
    assert "is after" in verdict.error


@pytest.mark.processes
def test_a_credential_with_any_byte_changed_is_refused(signer: Signer) -> None:
    """At a random half of all positions another character stands there."""
    rng = random.Random(19)
    credential = sign(signer)
    positions = sorted(rng.sample(range(len(credential)), len(credential) // 2))
    changed = [credential[:n] + flip(rng, credential[n]) + credential[n + 1 :] for n in positions]

    untouched, *verdicts = find_verifier().verify(published(signer), [credential, *changed])

    accepted = [text for text, verdict in zip(changed, verdicts, strict=True) if verdict.verified]
    assert untouched.verified
    assert [text for text in accepted if json.loads(text) != json.loads(credential)] == []


def flip(rng: random.Random, character: str) -> str:
    return rng.choice([c for c in 'aZ09":,{}[]/# \\é' if c != character])


@pytest.mark.processes
def test_a_list_that_was_changed_or_signed_by_another_is_not_believed(signer: Signer, tmp_path: Path) -> None:
    verifier, credential = find_verifier(), sign(signer)
    other = Signer(signing_settings(new_key(tmp_path, "other.pem")))
    address = f"{PUBLIC_URL}/credentials/status/1"
    documents = published(signer, 77)
    cleared = json.loads(json.dumps(documents))
    cleared[address]["credentialSubject"]["encodedList"] = encode_bits(build_bits([]))
    replaced = documents | {address: published(other)[address]}

    for false_documents in (cleared, replaced):
        (verdict,) = verifier.verify(false_documents, [credential])
        assert not verdict.verified
        assert "not verified" in str(verdict.error)


@pytest.mark.processes
def test_whatever_is_in_a_title_a_stranger_can_verify_it(signer: Signer) -> None:
    rows = ["".join(map(chr, range(first, first + 16))) for first in range(0, 0x100, 16)]
    titles = ["", " ", "\\t", "t" * 5000, "\u2028\u202e\ufeff\ufffe🎓<>", *rows, "".join(rows)]

    verdicts = find_verifier().verify(published(signer), [sign(signer, title=title) for title in titles])

    assert [title for title, verdict in zip(titles, verdicts, strict=True) if not verdict.verified] == []


@pytest.mark.processes
def test_what_a_key_has_signed_stays_valid_when_the_next_one_signs(tmp_path: Path) -> None:
    old, new = new_key(tmp_path, "old.pem"), new_key(tmp_path, "new.pem")
    credential = sign(Signer(signing_settings(old)))
    signer = Signer(signing_settings(new, old))

    verdicts = find_verifier().verify(published(signer), [credential, sign(signer)])

    assert [verdict.verified for verdict in verdicts] == [True, True]
    assert signer.key_id == signer.public_key == read_keys(str(new))[0].public_key
    assert list(signer.public_keys) == [key.key_id for key in read_keys(f"{new},{old}")]


@pytest.mark.parametrize("email", ["ada@example.org", None])
def test_the_proof_covers_every_member(signer: Signer, tmp_path: Path, email: str | None) -> None:
    """openbadgeslib refuses a credential with a member that no context defines, because that would not be signed."""
    credential = signer.sign_certificate(CERTIFICATE, PLACE, email)
    public = Ed25519PrivateKey.from_private_bytes(private_bytes(tmp_path / "key.pem")).public_key()
    verifier = OB3LdpVerifier(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    assert verifier.verify(credential).name == CERTIFICATE.title
    with pytest.raises(Exception, match="term"):
        verifier.verify(credential | {"grade": "A"})


def private_bytes(path: Path) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(path.read_bytes(), None).private_bytes_raw()


def test_each_credential_has_a_salt_of_its_own(signer: Signer) -> None:
    salts = {json.loads(sign(signer))["credentialSubject"]["identifier"][0]["salt"] for _ in range(3)}

    assert len(salts) == 3


def test_nothing_is_fetched(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("it opens a socket")

    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    sign(signer)


def test_a_key_is_in_no_repr(tmp_path: Path) -> None:
    path = new_key(tmp_path)
    (secret,) = [line for line in path.read_text().splitlines() if not line.startswith("-----")]

    assert secret not in repr(read_keys(str(path)))


def write_encrypted(path: Path) -> None:
    secret = Ed25519PrivateKey.generate()
    path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))


def write_other_kind(path: Path) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def write_public(path: Path) -> None:
    public = Ed25519PrivateKey.generate().public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


BAD_FILES: dict[str, Callable[[Path], Any]] = {
    "does not exist: restore it": lambda _: None,
    "cannot be read .Is a directory.": Path.mkdir,
    "has a passphrase: write it without one": write_encrypted,
    "is no private key of the kind Ed25519": write_other_kind,
    "is no private key of the kind Ed25519 in PEM: create one": write_public,
    "is no private key": lambda path: path.write_bytes(b"\x00secret"),
    "is no private key of": lambda path: path.write_text(
        "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
    ),
}


@pytest.mark.parametrize("problem", BAD_FILES)
def test_a_file_that_is_no_key_is_named_with_what_to_do(problem: str, tmp_path: Path) -> None:
    good, bad = new_key(tmp_path), tmp_path / "bad.pem"
    BAD_FILES[problem](bad)

    for files in ([bad], [good, bad]):
        with pytest.raises(CannotSign, match=f"PROGRESS_CERTIFICATE_KEY_FILES: .*bad.pem {problem}") as raised:
            sign(Signer(signing_settings(*files)))
        assert "secret" not in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"certificate_key_files": ""}, NO_KEY),
        ({"certificate_key_files": " , "}, NO_KEY),
        ({"public_url": None}, "PROGRESS_PUBLIC_URL is not set"),
    ],
)
def test_a_setting_that_is_missing_is_named(changed: Mapping[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSign, match=problem):
        Signer(signing_settings(new_key(tmp_path), **changed)).load()


def test_an_extra_that_is_missing_is_named(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.certificates.signing.find_spec", lambda name: None if name == "pyld" else name)

    with pytest.raises(CannotSign, match=r"pip install 'course-progress\[certificates\]'"):
        signer.load()


def test_it_signs_as_soon_as_the_key_is_there(tmp_path: Path) -> None:
    signer = Signer(signing_settings(tmp_path / "key.pem"))
    with pytest.raises(CannotSign):
        sign(signer)

    new_key(tmp_path)

    assert sign(signer)
