"""Finds out which learner of the website a file means, and which course.

A learner is, in this order: whom `--users` names; the website's own id, where the file has a UUID; or the UUIDv5, in
the namespace of URLs, of a text. That is `homePage name` for an account (with a space between them), the URI for an
openid, and `mbox_sha1sum:` and the SHA-1 of `mailto:` and the address in lower case for a mailbox or its SHA-1.
A course is the UUID that the file has, or the UUIDv5 of its id.
"""

import csv
from collections import OrderedDict
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from worker.errors import ProgressError
from worker.importers.opening import open_parts

MOST_CACHED = 100_000
USER_COLUMNS = ("user_id", "uuid")
HOME_COLUMNS = ("home_page", "homepage", "site")


class Learner(NamedTuple):
    """Identifies a learner as a file does. `home_page` is the site that gave the id, where it is known."""

    name: str  # what the UUIDv5 is made of, or a UUID; for an account its name
    home_page: str | None = None
    keys: tuple[str, ...] = ()  # further ids under which --users may name the learner


def identify_mailbox(address: str) -> Learner:
    """Identifies a learner by a mailbox, with `mailto:` or without; its SHA-1 identifies the same one."""
    address = address.removeprefix("mailto:").lower()
    learner = identify_sha1(sha1(f"mailto:{address}".encode()).hexdigest())
    return learner._replace(keys=(*learner.keys, f"mailto:{address}", address))


def identify_sha1(digest: str) -> Learner:
    """Identifies a learner by the SHA-1 of a mailbox, in hexadecimal."""
    return Learner(f"mbox_sha1sum:{digest.lower()}", keys=(digest.lower(),))


def parse_uuid(text: str) -> UUID | None:
    """Reads a UUID, as people write it, or as a URN; None for another text."""
    text = text.removeprefix("urn:uuid:")
    if len(text) not in (32, 36):  # with hyphens or without
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def make_uuid(text: str) -> UUID:
    """Returns the UUID that a text is, or its UUIDv5."""
    return parse_uuid(text) or uuid5(NAMESPACE_URL, text.encode("utf-8", "replace").decode())


class Identities:
    """Gives learners the website's ids. `mapped` is what --users says: by site and id, or by id alone."""

    def __init__(self, mapped: dict[tuple[str | None, str], UUID] | None = None) -> None:
        self._mapped = mapped
        self._known: OrderedDict[Learner, UUID | None] = OrderedDict()
        self._homes: dict[str, str | None] = {}

    def find(self, learner: Learner) -> UUID | None:
        """Returns the learner's id at the website; None for one whom --users does not name.

        Raises ValueError where --users names by the id alone learners of two sites.
        """
        if learner not in self._known:
            self._known[learner] = self._find(learner)
            if len(self._known) > MOST_CACHED:
                self._known.popitem(last=False)
        return self._known[learner]

    def _find(self, learner: Learner) -> UUID | None:
        if self._mapped is None:
            return self._derive(learner)
        for home_page, key in self._list_keys(learner):
            if found := self._mapped.get((home_page, key)):
                self._require_one_home(learner, home_page, key)
                return found
        return parse_uuid(learner.name)

    @staticmethod
    def _list_keys(learner: Learner) -> list[tuple[str | None, str]]:
        names = [learner.name, *learner.keys]
        whole = [f"{learner.home_page} {name}" for name in names] if learner.home_page else []
        return [(learner.home_page, name) for name in names] + [(None, name) for name in (*whole, *names)]

    def _require_one_home(self, learner: Learner, home_page: str | None, key: str) -> None:
        if home_page is None and " " not in key and self._homes.setdefault(key, learner.home_page) != learner.home_page:
            raise ValueError(f"actor: two sites have an account {key!r}, and --users has it without home_page")

    @staticmethod
    def _derive(learner: Learner) -> UUID:
        own = parse_uuid(learner.name)
        return own or make_uuid(f"{learner.home_page} {learner.name}" if learner.home_page else learner.name)


def read_users(path: Path) -> dict[tuple[str | None, str], UUID]:
    """Reads which of the website's ids their ids have: CSV, with the columns id and user_id, or home_page, id, user_id.

    Without a line that names the columns, the first is theirs and the last the website's. Raises ProgressError.
    """
    found: dict[tuple[str | None, str], UUID] = {}
    for part in open_parts(str(path)):
        rows = (row for row in csv.reader(part.text) if row)
        head = [cell.strip().lower() for cell in next(rows, [])]
        named = any(column in head for column in USER_COLUMNS)
        if len(head) < 2:
            raise ProgressError(f"{path}: not CSV with their id and the website's user_id")
        ours = next((head.index(name) for name in USER_COLUMNS if name in head), len(head) - 1)
        home = next((head.index(name) for name in HOME_COLUMNS if name in head), None) if named else None
        theirs = next(place for place in range(len(head)) if place not in (ours, home))
        for number, row in enumerate(rows if named else [head, *rows], start=2 if named else 1):
            user_id = parse_uuid(row[ours].strip()) if len(row) == len(head) else None
            if user_id is None or not row[theirs].strip():
                raise ProgressError(
                    f"{path}: row {number:,} has no id and UUID: a row is `their id,the website's UUID`"
                )
            home_page = row[home].strip() or None if home is not None else None
            known = found.setdefault((home_page, row[theirs].strip()), user_id)
            if known != user_id:
                raise ProgressError(f"{path}: row {number:,}: {row[theirs]!r} is there with two UUIDs")
    return found
