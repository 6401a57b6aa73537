"""Asks Kubernetes whether this pod's StatefulSet has a place for it any more.

Nothing inside a pod says so: the downward API shows fields of the pod and not of its StatefulSet, environment variables
do not change in a running pod, and a mounted ConfigMap follows a minute later, if whoever scales changes it at all. But
the controller deletes a pod because of `spec.replicas`, so the API server has the number before the pod gets SIGTERM,
also where an autoscaler has set it. Reading it takes a service account that may `get` the StatefulSet.
"""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from worker.errors import ProgressError
from worker.http_client import fetch

SERVER = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where Kubernetes mounts it in a pod
POD = re.compile(r"(?P<set>.+)-(?P<ordinal>[0-9]+)")


class NotTold(ProgressError):
    """Kubernetes does not say whether the pod comes back."""


@dataclass(frozen=True, slots=True)
class StatefulSet:
    """Names the places of a StatefulSet by their ordinals."""

    first: int
    places: int
    deleted: bool = False

    def has_place(self, ordinal: int) -> bool:
        return not self.deleted and self.first <= ordinal < self.first + self.places


async def has_place(pod: str, account: Path = ACCOUNT, server: str = SERVER) -> bool | None:
    """Returns whether a pod of this name will run again after it has stopped; None: this is no pod of a StatefulSet.

    A StatefulSet that is deleted has no places. A pod's host name is its name. Returns None also where no service
    account is mounted. Raises NotTold when the API server does not answer within seconds, or refuses.
    """
    named = POD.fullmatch(pod)
    if named is None or not (account / "token").exists():
        return None
    found = await _read(named["set"], account, server)
    return found.has_place(int(named["ordinal"]))


async def _read(name: str, account: Path, server: str) -> StatefulSet:
    namespace, token = ((account / file).read_text().strip() for file in ("namespace", "token"))
    url = f"{server}/apis/apps/v1/namespaces/{quote(namespace)}/statefulsets/{quote(name)}"
    what = f"StatefulSet {namespace}/{name}"
    try:
        answer = await fetch(url, authorization=f"Bearer {token}", ca_file=account / "ca.crt")
    except (ProgressError, OSError) as error:
        raise NotTold(f"Kubernetes does not answer about {what}: {error}") from error
    if answer.status == HTTPStatus.NOT_FOUND:
        return StatefulSet(0, 0, deleted=True)
    if answer.status != HTTPStatus.OK:
        raise NotTold(f"Kubernetes answers {answer.status} about {what}; its service account must be allowed to get it")
    return _parse(answer.body, what)


def _parse(body: bytes, what: str) -> StatefulSet:
    try:
        found = json.loads(body)
        spec = found["spec"]
        first = (spec.get("ordinals") or {}).get("start", 0)
        return StatefulSet(int(first), int(spec["replicas"]), "deletionTimestamp" in found["metadata"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotTold(f"Kubernetes' answer about {what} cannot be read: {error!r}") from error
