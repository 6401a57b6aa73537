"""The file of badges has a closed vocabulary, and whoever writes it learns what is wrong with it."""

from pathlib import Path
from uuid import UUID

import pytest

from worker.achievements.rules import parse_badges, read_badges
from worker.errors import SetupError

COURSE = UUID(int=7)


def declare(when: str, more: str = "") -> str:
    return f'[knots]\ntitle = "Knots"\ndescription = "Tie them."\nwhen = {when}\n{more}\n'


def test_ours_are_read_in_their_order() -> None:
    names = [badge.id for badge in read_badges(None)]

    assert names == ["first-course", "five-courses", "hundred-lessons", "streak-7", "streak-30"]


@pytest.mark.parametrize(
    "when",
    ["{ streak = 7 }", "{ courses = 5 }", "{ lessons = 100 }", f'{{ course = "{COURSE}" }}'],
)
def test_a_condition_is_one_number_or_one_course(when: str) -> None:
    [badge] = parse_badges(declare(when))

    assert len(badge.when.conditions) == 1


def test_several_conditions_stand_in_a_list() -> None:
    [badge] = parse_badges(declare(f'{{ all_of = [{{ streak = 7 }}, {{ course = "{COURSE}" }}] }}'))

    assert [condition.streak for condition in badge.when.conditions] == [7, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            declare("{ score = 7 }"),
            "badge knots: when: no condition is called score: there are streak, courses, lessons",
        ),
        (declare("{ hours = 10 }"), "no condition is called hours"),
        (declare("{ streak = 7, courses = 1 }"), "has one condition; several stand in a list under all_of"),
        (declare("{ }"), "has one condition"),
        (declare('{ streak = "7" }'), "when.streak: Input should be a valid integer"),
        (declare("{ streak = true }"), "when.streak: Input should be a valid integer"),
        (declare("{ streak = 0 }"), "when.streak: Input should be greater than or equal to 1"),
        (declare('{ course = "knots" }'), "when.course: Input should be a valid UUID"),
        (declare("{ all_of = [{ streak = 7 }] }"), "when.all_of: Tuple should have at least 2 items"),
        (declare("{ all_of = [{ all_of = [] }, { streak = 1 }] }"), "no condition is called all_of"),
        (declare("{ streak = 7 }", "revocable = true"), "only a badge of one course is revocable"),
        (declare("{ streak = 7 }", 'colour = "red"'), "badge knots: colour: Extra inputs are not permitted"),
        ("[Knots]\ntitle = 'K'\n", "badge Knots: id: String should match pattern"),
        ("knots = 1\n", "badge knots: is a table with title, description and when"),
        ("[knots]\ntitle = ''\n", "title: String should have at least 1 character"),
        ("[knots\n", "not TOML: "),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(SetupError) as raised:
        parse_badges(text)

    assert said in str(raised.value)


def test_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "badges.toml"
    with pytest.raises(SetupError, match=r"badges\.toml: No such file"):
        read_badges(file)
    file.write_text("[knots]\n")

    with pytest.raises(SetupError, match=r"badges\.toml: badge knots: "):
        read_badges(file)


def test_where_only_words_differ_the_rule_is_the_same() -> None:
    [before], [after] = (
        parse_badges(declare("{ streak = 7 }")),
        parse_badges(declare("{ streak = 7 }").replace("K", "C")),
    )

    assert before.rule == after.rule
    assert before.rule != parse_badges(declare("{ streak = 8 }"))[0].rule
