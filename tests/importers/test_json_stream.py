"""Values are found in any arrangement of JSON, each with its line, in bounded memory."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.importers import json_stream
from worker.importers.json_stream import Broken, JsonStream

SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
OBJECTS = st.lists(st.fixed_dictionaries({"verb": SCALARS, "more": JSON}), max_size=6)
ARRANGEMENTS = {
    "lines": lambda values: "\n".join(map(json.dumps, values)),
    "records with a separator": lambda values: "".join(f"\x1e{json.dumps(value)}\n" for value in values),
    "pretty, one after the other": lambda values: "\n".join(json.dumps(value, indent=2) for value in values),
    "array": json.dumps,
    "array over lines": lambda values: json.dumps(values, indent=1),
    "array, a line each": lambda values: "[\n" + ",\n".join(map(json.dumps, values)) + "\n]",
    "several arrays": lambda values: "\n".join(json.dumps([value]) for value in values),
    "answer": lambda values: json.dumps({"statements": values, "more": ""}),
    "answer, more first": lambda values: json.dumps({"more": "", "statements": values}, indent=2),
}


class Slow(io.StringIO):
    """Gives a text in pieces, so that each value is cut somewhere."""

    def read(self, count: int | None = -1, /) -> str:
        return super().read(40)


def read(text: str, file: type[io.StringIO] = io.StringIO) -> list[Any]:
    return [each if isinstance(each, Broken) else each[1] for each in JsonStream(file(text))]


@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=list(ARRANGEMENTS))
@settings(max_examples=30, deadline=None)
@given(values=OBJECTS)
def test_any_arrangement_has_the_same_values(arrange: Any, values: list[Any]) -> None:
    assert read(arrange(values), Slow) == values


def test_each_value_has_its_line() -> None:
    text = '{"statements": [\n{"verb": 1},\n\n{"verb":\n 2}], "more": "/next"}\n{"verb": 3}'
    stream = JsonStream(io.StringIO(text))

    assert [(line, value["verb"]) for line, value in stream] == [(2, 1), (4, 2), (6, 3)]
    assert stream.more


@pytest.mark.parametrize(
    ("text", "lines", "broken"),
    [
        ('{"verb": 1}\nno json\n{"verb": 2}', [1, 2], [2]),
        ('{"verb": 1}\n{"verb": \n{"verb": 2}', [1, 2], [2]),
        ('[{"verb": 1},\n{"verb" 7},\n{"verb": 2}]', [1, 2], [2]),
        ('[\n  {\n    "verb": 1\n  },\n  {\n    "verb" 7,\n    "x": {\n  }},\n  {\n    "verb": 2\n  }\n]', [1, 2], [5]),
        ('[{"verb": 1}, {"verb": 2', [1], [1]),
        ('[{"verb": 1},', [1], [1]),
        ('{"verb": ' + "[" * 100_000, [], [1]),
        ("{" * 20, [], [1]),
        ("}\n]\n,", [], [1, 2, 3]),
        ('{"verb": ' + "9" * 5000 + "}", [], [1]),
    ],
)
def test_what_is_broken_is_named_by_its_line_and_the_rest_is_read(
    text: str, lines: list[int], broken: list[int]
) -> None:
    found = read(text)

    assert [each["verb"] for each in found if not isinstance(each, Broken)] == lines
    assert [each.line for each in found if isinstance(each, Broken)] == broken


def test_a_value_that_is_too_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LONGEST", 1000)
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    long = json.dumps({"verb": "x" * 5000})

    assert read(f'{long}\n{{"verb": 2}}') == [Broken(1, "no JSON: more than 1,000 characters"), {"verb": 2}]
    assert read(json.dumps({"more": "", "statements": [{"verb": n} for n in range(500)]})) == [
        {"verb": n} for n in range(500)
    ]


def test_an_array_on_one_line_needs_little_memory() -> None:
    text = io.StringIO("[" + ",".join(json.dumps({"verb": n, "text": "x" * 300}) for n in range(60_000)) + "]")
    tracemalloc.start()
    count = sum(1 for _ in JsonStream(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 60_000
    assert peak < 8_000_000


def test_a_page_of_a_connection_says_that_there_are_more() -> None:
    stream = JsonStream(io.StringIO('{"edges": [{"node": 1}], "pageInfo": {"hasNextPage": true}}'))

    assert [value for _, value in stream] == [{"node": 1}]
    assert stream.more
