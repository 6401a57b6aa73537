"""What an operator of the HTTP API can set besides."""

from pydantic import (
    Field,
    FilePath,
    HttpUrl,
    PositiveInt,
    field_validator,
)

from worker.settings import LOOPBACK, Settings


class ApiSettings(Settings):
    """What an operator of the HTTP API can set besides."""

    api_host: str = Field("127.0.0.1", description="where the API listens")
    api_port: int = Field(8000, ge=0, le=65535, description="its port; 0 takes any free one")
    api_cookie: str | None = Field(
        None, description="the cookie in which the website's login puts the token: with it the pages are served too"
    )
    jwt_issuer: str | None = Field(None, description="who must have issued a token (`iss`); the API needs it")
    jwt_audience: str | None = Field(None, description="for whom a token must be (`aud`); the API needs it")
    jwt_jwks_url: HttpUrl | None = Field(
        None, description="where the issuer publishes its keys; https, but on loopback"
    )
    jwt_key_file: FilePath | None = Field(
        None, description="PEM of the issuer's one public key (RSA, P-256 or Ed25519), instead of the URL"
    )
    cors_origins: str = Field(
        "", description="origins whose pages may call the API, comma-separated; its own pages need none"
    )
    rate_limit_reads: str = Field("600/minute", description="calls that read, per learner and API process")
    rate_limit_writes: str = Field("120/minute", description="calls that write, likewise")
    rate_limit_batches: str = Field("12/minute", description="batches, likewise, of up to 500 events each")
    api_streams_per_learner: PositiveInt = Field(5, description="streams that a learner may have open at once")
    api_body_limit: PositiveInt = Field(1_048_576, description="bytes that a request's body may have")

    @field_validator("jwt_jwks_url")
    @classmethod
    def _require_https_for_jwks_url(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and url.scheme != "https" and url.host not in LOOPBACK:
            raise ValueError("must begin with https")
        return url
