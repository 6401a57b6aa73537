"""Every setting is documented, with its default."""

import re
from pathlib import Path

from pydantic import SecretStr

from worker.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_lists_every_setting_with_its_default_and_meaning() -> None:
    documented = re.findall(r"^\| `(PROGRESS_\w+)` \| (?:`(.*)`)? ?\| (.+) \|$", README.read_text(), re.MULTILINE)

    assert [tuple(row) for row in documented] == [
        (f"PROGRESS_{name.upper()}", _text(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]


def _text(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default is None else str(default)
