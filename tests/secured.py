"""Runs a real broker that accepts only known users, with certificates issued here, and a token endpoint."""

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import trustme
from cryptography.hazmat.primitives import serialization

from worker.devstack.kafka_jars import Extras, find_jars, run_broker
from worker.devstack.process import find_free_ports

ACLS = Path(__file__).parent.parent / "kafka" / "acls.sh"
PASSWORD = "s3cret-Pa55word"
KEY_PASSWORD = "s3cret-Key-Pa55word"
CLIENT_SECRET = "s3cret+Client/Secret"
MARKED = "s3cret"  # in every secret of these tests
SESSION_MS = 3000  # of OAUTHBEARER: then the broker closes connections that did not authenticate again
TOKEN_LIFETIME_S = 2
SECURITY = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Pem:
    """Holds the paths of one certificate's files."""

    certificate: Path
    key: Path
    encrypted_key: Path
    both: Path  # as Kafka's keystore wants it


def issue(authority: trustme.CA, directory: Path, name: str, *hosts: str) -> Pem:
    issued = authority.issue_cert(*hosts or [f"{name}.test"], common_name=name)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    pem = Pem(*(directory / f"{name}{suffix}" for suffix in (".pem", ".key", ".key.encrypted", ".both")))
    pem.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    for path, encryption in (
        (pem.key, serialization.NoEncryption()),
        (pem.encrypted_key, serialization.BestAvailableEncryption(KEY_PASSWORD.encode())),
    ):
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    pem.both.write_bytes(pem.key.read_bytes() + pem.certificate.read_bytes())
    return pem


@dataclass(frozen=True)
class Secured:
    """Holds the broker's addresses: in the clear for its administrator, with SASL_SSL, and with client certificates."""

    admin: str
    sasl: str
    mutual: str
    authority: Path
    client: Pem  # of User:worker
    stranger: Pem  # of an authority that the broker does not trust

    def allow(self, role: str, *options: str, user: str = "") -> None:
        """Runs the operators' script (kafka/acls.sh) for `user`, by default the user named like the role."""
        tool = "java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData org.apache.kafka.tools.AclCommand"
        environment = {"CLASSPATH": f"{find_jars(print)}/*", "KAFKA_ACLS": tool}
        command = [ACLS, role, f"User:{user or role}", "--apply", *options, "--", "--bootstrap-server", self.admin]
        subprocess.run(command, check=True, capture_output=True, timeout=60, env=os.environ | environment)


def settings_of(server: Pem, authority: Path, users: Mapping[str, str]) -> dict[str, str]:
    plain = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    sasl = "listener.name.sasl"
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # a client in the clear, on loopback
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority),
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([a-z]+).*$/$1/",
        f"{sasl}.plain.sasl.jaas.config": f"{SECURITY}.plain.PlainLoginModule required {plain};",
        f"{sasl}.scram-sha-256.sasl.jaas.config": f"{SECURITY}.scram.ScramLoginModule required;",
        f"{sasl}.scram-sha-512.sasl.jaas.config": f"{SECURITY}.scram.ScramLoginModule required;",
        f"{sasl}.oauthbearer.sasl.jaas.config": f"{SECURITY}.oauthbearer.OAuthBearerLoginModule required;",
        f"{sasl}.oauthbearer.sasl.server.callback.handler.class": (
            f"{SECURITY}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
        ),
        f"{sasl}.oauthbearer.connections.max.reauth.ms": str(SESSION_MS),
    }


@contextmanager
def secured(directory: Path, users: Mapping[str, str]) -> Iterator[Secured]:
    trusted = trustme.CA()
    authority = directory / "authority.pem"
    trusted.cert_pem.write_to_path(str(authority))
    server = issue(trusted, directory, "server", "127.0.0.1")
    stranger = issue(trustme.CA(), directory, "stranger")
    sasl, mutual = (f"127.0.0.1:{port}" for port in find_free_ports(2))
    scram = [f"{m}=[name={n},password={p}]" for m in ("SCRAM-SHA-256", "SCRAM-SHA-512") for n, p in users.items()]
    extras = Extras(
        listeners={f"SASL://{sasl}": "SASL_SSL", f"MUTUAL://{mutual}": "SSL"},
        settings=settings_of(server, authority, users),
        scram_users=scram,
    )
    with run_broker(print, extras) as admin:
        yield Secured(admin, sasl, mutual, authority, issue(trusted, directory, "worker"), stranger)


def unsecured_jwt(name: str, lifetime_s: float) -> str:
    claims = {"sub": name, "iat": time.time() - 1, "exp": time.time() + lifetime_s}
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join(encoded) + "."


@dataclass
class Endpoint:
    """Issues tokens to the client `worker`. A test may change `status` and `lifetime_s`."""

    url: str = ""
    status: int = 200
    lifetime_s: float = TOKEN_LIFETIME_S
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked.append(form)
        if self.status != 200:
            return self.status, {"error_description": f"you sent {authorization}"}
        user, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if parse_qs(f"s={secret}")["s"] != [CLIENT_SECRET]:
            return 401, {"error": "invalid_client"}
        return 200, {"access_token": unsecured_jwt(user, self.lifetime_s), "expires_in": self.lifetime_s}


@contextmanager
def token_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, answer = endpoint.answer(self.headers["Authorization"], form)
            self.send_response(status)
            self.send_header("Location", endpoint.url)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.url = f"http://127.0.0.1:{server.server_port}/token"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield endpoint
        server.shutdown()
        serving.join()
