"""Adds the settings of the HTTP API to those of every process."""

from typing import Literal

from pydantic import (
    Field,
    FilePath,
    HttpUrl,
    PositiveInt,
    field_validator,
)

from worker.achievements.settings import AchievementSettings
from worker.certificates.settings import CertificateSettings
from worker.settings import LOOPBACK


class ApiSettings(CertificateSettings, AchievementSettings):
    """Holds the settings of an API process: every process has the others too."""

    api_host: str = Field("127.0.0.1", description="The address on which the API listens")
    api_port: int = Field(8000, ge=0, le=65535, description="The port of that address; 0 takes any free port")
    api_cookie: str | None = Field(
        None,
        description="The cookie in which the website's login puts the token; the pages are served only if it is set",
    )
    jwt_issuer: str | None = Field(None, description="The `iss` that a token must have; the API needs this setting")
    jwt_audience: str | None = Field(None, description="The `aud` that a token must have; the API needs this setting")
    jwt_jwks_url: HttpUrl | None = Field(
        None, description="Where the issuer publishes its keys; must be https, except on loopback"
    )
    jwt_key_file: FilePath | None = Field(
        None, description="A PEM file with the issuer's only public key (RSA, P-256 or Ed25519), instead of the URL"
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call the API, comma-separated; the API's own pages need none"
    )
    rate_limit_reads: str = Field("600/minute", description="The most calls that read, per learner and API process")
    rate_limit_writes: str = Field("120/minute", description="The most calls that write, per learner and API process")
    rate_limit_batches: str = Field(
        "12/minute", description="The most calls with a batch of up to 500 events, per learner and API process"
    )
    rate_limit_public: str = Field(
        "120/minute",
        description="The most requests to the public pages of certificates, per address of the visitor and API process",
    )
    api_streams_per_learner: PositiveInt = Field(
        5, description="The most live streams that a learner may have open at once, per API process"
    )
    api_connections: PositiveInt | None = Field(
        None,
        description="The most connections that an API process has open at once; a further one takes the place of the "
        "longest idle one. Without this setting half of the files that the process may open, at most 2,048",
    )
    api_courses_per_learner: PositiveInt = Field(
        1000, description="The most courses that calls may give a learner, those that were reset among them"
    )
    api_lessons_per_course: PositiveInt = Field(
        10_000, description="The most lessons that calls may give a learner in one course, completed or taken back"
    )
    api_unknown_courses: Literal["auto", "trust", "refuse"] = Field(
        "auto",
        description="Whether calls may write progress in a course without a version ([catalog](catalog.md)): `trust`, "
        "`refuse`, or `auto`: until the first course has one",
    )
    api_body_limit: PositiveInt = Field(1_048_576, description="The most bytes in a request's body")

    @field_validator("jwt_jwks_url")
    @classmethod
    def _require_https_for_jwks_url(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and url.scheme != "https" and url.host not in LOOPBACK:
            raise ValueError("must begin with https")
        return url
