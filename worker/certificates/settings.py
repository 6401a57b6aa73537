"""Adds the settings of certificates to those of every process: whoever issues or serves them has these."""

from pathlib import Path

from pydantic import Field, HttpUrl

from worker.settings import Settings


class CertificateSettings(Settings):
    """Holds the settings of a process that issues or serves certificates."""

    public_url: HttpUrl | None = Field(
        None,
        description="The address of the API as strangers reach it, such as `https://learn.example`: links and QR codes "
        "of certificates begin with it, and it is the issuer's name (did:web). Without it there are no certificates",
    )
    certificates_without_catalog: bool = Field(
        False,
        description="Whether courses without a version ([catalog](catalog.md)) have certificates too; there a learner "
        "can declare a course complete, and the issuer would sign it",
    )
    certificates_revoked_by: str = Field(
        "learner,imported,waived,recovered",
        description="The causes of a CourseCompletionRevoked that revoke a certificate after 24 hours, comma-separated",
    )
    certificate_grace_s: float = Field(
        24 * 60 * 60,
        ge=0,
        description="A completion that was taken back revokes its certificate after so many seconds without a new one",
    )
    certificate_key_files: str = Field(
        "",
        description="PEM files with Ed25519 private keys, comma-separated: the first signs, the others are still "
        "published. Only `course-progress effects` reads them",
    )
    certificate_template: Path | None = Field(
        None, description="A directory with certificate.typ and what it needs; without it our own"
    )
    certificate_issuer: str = Field("course-progress", description="Who issues certificates, as they say it")
    certificate_signatory: str = Field("", description="Whose name stands under the signature; empty: no signature")
    certificate_logo: Path | None = Field(None, description="An SVG or PNG file for the top of a certificate")
    certificate_signature: Path | None = Field(None, description="An SVG or PNG file with the signature")
    certificate_colour: str = Field(
        "#1f5f8b", pattern=r"^#[0-9a-fA-F]{6}$", description="The colour of a certificate's ornaments"
    )
    certificate_fonts: Path | None = Field(
        None, description="A directory with further fonts, for scripts that the built-in ones lack"
    )
