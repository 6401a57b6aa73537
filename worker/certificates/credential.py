"""Builds Open Badges 3.0 credentials and status lists before they are signed. Pure."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.certificates.certificate import Certificate, build_credential_link, build_list_link
from worker.certificates.did import did_of
from worker.certificates.status_bits import ListPlace, encode_bits

CREDENTIALS_V2 = "https://www.w3.org/ns/credentials/v2"
OPEN_BADGES = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
# Libraries disagree on how these are written in what is signed, and a signature would be right for some of them only.
CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), " ")
LIST_IS_VALID = timedelta(hours=48)
LIST_MAY_BE_KEPT_MS = 5 * 60 * 1000


def build_credential(
    certificate: Certificate, public_url: str, issuer: str, place: ListPlace, email: str | None, salt: str
) -> dict[str, Any]:
    """Builds the credential of a certificate. It holds no name, and of the address only a salted hash.

    Its id stays when the certificate is issued again: of two with the same id the later `validFrom` counts.
    """
    title = certificate.title.translate(CONTROLS)
    return {
        "@context": [CREDENTIALS_V2, OPEN_BADGES],
        "id": build_credential_link(public_url, certificate.code),
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": title,
        "issuer": {
            "id": did_of(public_url),
            "type": ["Profile"],
            "name": issuer.translate(CONTROLS),
            "url": public_url,
        },
        "validFrom": _write(certificate.issued_at),
        "awardedDate": _write(certificate.completed_at),
        "credentialSubject": {
            "type": ["AchievementSubject"],
            "identifier": [_build_identity(certificate, email, salt)],
            "achievement": _build_achievement(certificate, title),
        },
        "credentialStatus": _build_status(build_list_link(public_url, place.list), place.index),
    }


def build_status_list(number: int, bits: bytes, public_url: str, now: datetime) -> dict[str, Any]:
    """Builds the credential of a status list, which nobody takes any more 48 hours after `now`."""
    link = build_list_link(public_url, number)
    return {
        "@context": [CREDENTIALS_V2],
        "id": link,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": did_of(public_url),
        "validFrom": _write(now),
        "validUntil": _write(now + LIST_IS_VALID),
        "credentialSubject": {
            "id": f"{link}#list",
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": encode_bits(bits),
            "ttl": LIST_MAY_BE_KEPT_MS,
        },
    }


def _build_achievement(certificate: Certificate, title: str) -> dict[str, Any]:
    version = certificate.course_version
    required = f"everything that version {version} of the course requires" if version else "every lesson of the course"
    return {
        "id": f"urn:uuid:{certificate.course_id}#version-{version}",
        "type": ["Achievement"],
        "achievementType": "Course",
        "name": title,
        "description": f"Completion of the course “{title}”.",
        "criteria": {"narrative": f"The learner completed {required}."},
    }


def _build_identity(certificate: Certificate, email: str | None, salt: str) -> dict[str, Any]:
    kind, value = ("emailAddress", email) if email else ("systemId", str(certificate.user_id))
    return {
        "type": "IdentityObject",
        "hashed": True,
        "identityHash": "sha256$" + hashlib.sha256(f"{value}{salt}".encode()).hexdigest(),
        "identityType": kind,
        "salt": salt,
    }


def _build_status(link: str, index: int) -> dict[str, Any]:
    return {
        "id": f"{link}#{index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": str(index),
        "statusListCredential": link,
    }


def _write(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
