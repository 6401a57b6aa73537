import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.certificates.examples import CERTIFICATE, PUBLIC_URL
from worker.certificates.credential import build_credential, build_status_list
from worker.certificates.status_bits import ListPlace, build_bits, encode_bits

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def build(email: str | None = "ada@example.org", **changed: Any) -> dict[str, Any]:
    certificate = replace(CERTIFICATE, **changed)
    return build_credential(certificate, PUBLIC_URL, "The School", ListPlace(3, 77), email, "salt")


def identity(credential: dict[str, Any]) -> dict[str, Any]:
    return credential["credentialSubject"]["identifier"][0]


def test_it_says_what_the_certificate_says() -> None:
    credential = build()
    achievement = credential["credentialSubject"]["achievement"]

    assert credential["id"] == f"{PUBLIC_URL}/verify/{CERTIFICATE.code}/credential"
    assert credential["issuer"]["id"] == "did:web:learn.example"
    assert credential["issuer"]["name"] == "The School"
    assert credential["name"] == achievement["name"] == "Notes on the engine"
    assert achievement["id"] == f"urn:uuid:{CERTIFICATE.course_id}#version-2"
    assert credential["validFrom"] == "2026-03-01T09:00:00Z"
    assert credential["awardedDate"] == "2026-02-28T23:30:00Z"


def test_its_status_is_at_its_place() -> None:
    assert build()["credentialStatus"] == {
        "id": f"{PUBLIC_URL}/credentials/status/3#77",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": "77",
        "statusListCredential": f"{PUBLIC_URL}/credentials/status/3",
    }


def test_the_recipient_is_a_salted_hash_of_the_address() -> None:
    found = identity(build())

    assert found["identityType"] == "emailAddress"
    assert found["identityHash"] == "sha256$" + hashlib.sha256(b"ada@example.orgsalt").hexdigest()
    assert (found["hashed"], found["salt"]) == (True, "salt")


def test_without_an_address_the_recipient_is_a_salted_hash_of_the_user_id() -> None:
    found = identity(build(email=None))

    assert found["identityType"] == "systemId"
    assert found["identityHash"] == "sha256$" + hashlib.sha256(f"{CERTIFICATE.user_id}salt".encode()).hexdigest()


def test_neither_name_nor_address_nor_user_id_is_in_it() -> None:
    text = json.dumps(build())

    assert not [word for word in ("Ada", "Lovelace", "ada@example.org", str(CERTIFICATE.user_id)) if word in text]


def test_a_course_without_a_version_promises_none() -> None:
    achievement = build(course_version=0)["credentialSubject"]["achievement"]

    assert achievement["criteria"]["narrative"] == "The learner completed every lesson of the course."


def test_a_status_list_is_valid_for_48_hours_and_may_be_kept_for_5_minutes() -> None:
    bits = build_bits([77])
    status_list = build_status_list(3, bits, PUBLIC_URL, NOW)

    assert status_list["id"] == f"{PUBLIC_URL}/credentials/status/3"
    assert status_list["issuer"] == "did:web:learn.example"
    assert (status_list["validFrom"], status_list["validUntil"]) == ("2026-03-01T12:00:00Z", "2026-03-03T12:00:00Z")
    assert status_list["credentialSubject"] == {
        "id": f"{PUBLIC_URL}/credentials/status/3#list",
        "type": "BitstringStatusList",
        "statusPurpose": "revocation",
        "encodedList": encode_bits(bits),
        "ttl": 300_000,
    }
