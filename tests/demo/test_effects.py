"""The demo issues certificates only where it can, with a key of its own, and in a database of its own."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.factories import NOW
from worker.demo import effects
from worker.demo.effects import KEYS, find_obstacle, require_key
from worker.demo.people import ZONES, describe_person
from worker.demo.player import Player
from worker.learners.descriptions import is_zone


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS, "")


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "find_spec", lambda package: None if package == "typst" else object())

    assert "pip install 'course-progress[certificates]'" in find_obstacle("wheel")
    assert "\n" not in find_obstacle("wheel")


def test_it_signs_for_others_only_with_a_key_that_somebody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "find_spec", lambda package: object())

    assert find_obstacle("wheel") == ""
    assert KEYS in find_obstacle("env")
    monkeypatch.setenv(KEYS, "/run/secrets/key.pem")
    assert find_obstacle("env") == ""


def test_its_key_is_its_own_and_nobody_else_reads_it(tmp_path: Path) -> None:
    require_key(tmp_path)

    file = Path(os.environ[KEYS])
    assert file.parent == tmp_path
    assert isinstance(load_pem_private_key(file.read_bytes(), None), Ed25519PrivateKey)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_that_is_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEYS, "/run/secrets/key.pem")
    require_key(tmp_path)

    assert (os.environ[KEYS], [*tmp_path.iterdir()]) == ("/run/secrets/key.pem", [])


def test_every_learner_has_a_name_and_a_zone_that_exists() -> None:
    people: list[Any] = [describe_person(learner.user_id) for learner in Player(100, 1, NOW).learners]

    assert all(person.name and person.email is None for person in people)
    assert {person.timezone for person in people} <= set(ZONES)
    assert all(map(is_zone, ZONES))
