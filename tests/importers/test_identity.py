"""Learners get the website's ids by a map, or ids that are documented."""

from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from tests.imports import ADA, read_import, statement, write_lines
from worker.errors import ProgressError
from worker.importers.identity import Identities, Learner, identify_mailbox, read_users

NORTH, SOUTH = "https://north.example", "https://south.example"
OTHER = "0190a6e2-0000-7000-8000-0000000000b0"


@pytest.mark.parametrize(
    "lines",
    [
        ["id,user_id", f"7,{ADA}"],
        ["user_id,id", f"{ADA},7"],
        [f"7,{ADA}"],
        ["home_page,id,user_id", f"{NORTH},7,{ADA}"],
        ["id,user_id", f"{NORTH} 7,{ADA}"],
    ],
)
def test_a_map_names_learners_with_their_site_or_without(tmp_path: Path, lines: list[str]) -> None:
    identities = Identities(read_users(write_lines(tmp_path, *lines)))

    assert identities.find(Learner("7", NORTH)) == UUID(ADA)
    assert identities.find(Learner("8", NORTH)) is None
    assert identities.find(Learner(OTHER, NORTH)) == UUID(OTHER)


def test_a_map_names_a_mailbox_by_its_address(tmp_path: Path) -> None:
    identities = Identities(read_users(write_lines(tmp_path, f"ada@lms.example,{ADA}")))

    assert identities.find(identify_mailbox("mailto:Ada@lms.example")) == UUID(ADA)


def test_a_map_with_sites_keeps_two_sites_apart_and_one_without_is_refused(tmp_path: Path) -> None:
    both = read_users(write_lines(tmp_path, "home_page,id,user_id", f"{NORTH},7,{ADA}", f"{SOUTH},7,{OTHER}"))
    said = [statement(actor={"account": {"homePage": site, "name": "7"}}) for site in (NORTH, SOUTH)]
    path = write_lines(tmp_path, *said, name="said")
    merged = read_import(path, users={(None, "7"): UUID(ADA)})

    assert read_import(path, users=both).learners == {UUID(ADA), UUID(OTHER)}
    assert (len(merged.events), merged.report.malformed) == (1, 1)
    assert "two sites" in merged.said[0]


def test_whom_the_map_does_not_name_is_skipped_and_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path, statement(learner="7"), statement(learner="8"))
    found = read_import(path, users={(None, "7"): UUID(ADA)})

    assert found.learners == {UUID(ADA)}
    assert found.report.skipped == {"learner not in --users": 1}


@pytest.mark.parametrize(
    "lines", [["id"], ["id,user_id", "7,8"], ["id,user_id", f",{ADA}"], [f"7,{ADA}", f"7,{OTHER}"], ["7"]]
)
def test_a_map_that_is_wrong_is_refused_in_one_line(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(ProgressError) as error:
        read_users(write_lines(tmp_path, *lines))

    assert "\n" not in str(error.value)


def test_a_plain_id_is_derived_from_itself() -> None:
    assert Identities().find(Learner("7")) == uuid5(NAMESPACE_URL, "7")
