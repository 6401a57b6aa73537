from pathlib import Path

import pytest

from tests.command_line import NOWHERE, run

pytestmark = pytest.mark.processes


def preview(*arguments: str, **variables: str) -> tuple[int, str, str]:
    return run("certificates", "preview", *arguments, **NOWHERE, **variables)


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Neither the clock, nor the time zone, nor the order of hashes comes in."""
    here, there = tmp_path / "here.pdf", tmp_path / "there.pdf"

    assert preview(str(here), PYTHONHASHSEED="1") == (0, f"wrote {here}\n", "")
    assert preview(str(there), PYTHONHASHSEED="2", TZ="Asia/Tokyo", SOURCE_DATE_EPOCH="0")[0] == 0

    assert here.read_bytes().startswith(b"%PDF-1.7")
    assert here.read_bytes() == there.read_bytes()


def test_a_picture_shows_the_template_that_is_given(tmp_path: Path) -> None:
    template = tmp_path / "mine"
    template.mkdir()
    (template / "certificate.typ").write_text('#json(bytes(sys.inputs.certificate)).name\n#panic("it is mine")')

    status, output, errors = preview("--template", str(template), str(tmp_path / "a.png"))

    assert (status, output) == (1, "")
    assert "it is mine" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_picture_is_as_wide_as_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "certificate.PNG"

    assert preview("--width", "400", "--name", "Ωmega", "--title", "A", str(path))[0] == 0

    assert int.from_bytes(path.read_bytes()[16:20], "big") == 400


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["certificate.txt"], 2, "must end in .pdf or .png"),
        (["--name", " ", "certificate.pdf"], 2, "must not be empty"),
        (["/nowhere/certificate.pdf"], 1, "/nowhere/certificate.pdf cannot be written: No such file"),
        (["--name", "李明", "/nowhere/certificate.png"], 1, "U+660E CJK UNIFIED IDEOGRAPH-660E"),
        (["--template", "/nowhere", "certificate.pdf"], 1, "PROGRESS_CERTIFICATE_TEMPLATE: /nowhere: No such file"),
    ],
)
def test_what_cannot_be_shown_is_one_line(arguments: list[str], status: int, reason: str) -> None:
    found, output, errors = preview(*arguments)

    assert (found, output) == (status, "")
    assert reason in errors
    assert errors.count("\n") == 1
