"""Whatever a file is wrapped in, an import reads the same text; what is no text is named."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import cramjam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.errors import ProgressError
from worker.importers.opening import open_parts


def pack_zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__MACOSX/._export", b"beside")
        archive.writestr("export.jsonl", data)
    return packed.getvalue()


def gzip_in_two_members(data: bytes) -> bytes:
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])


PACKINGS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    gzip_in_two_members,
    bz2.compress,
    lzma.compress,
    lambda data: bytes(cramjam.zstd.compress(data)),
    pack_zip,
]
ENCODINGS: list[Callable[[str], bytes]] = [
    str.encode,
    lambda text: codecs.BOM_UTF8 + text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-16-be"),
    lambda text: text.encode("utf-32"),
]


def read_all(path: Path) -> list[str]:
    return [part.text.read() for part in open_parts(str(path))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=300),
    encode=st.sampled_from(ENCODINGS),
    packings=st.lists(st.sampled_from(PACKINGS), max_size=2),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_text_is_the_same_however_it_is_encoded_and_packed(
    tmp_path: Path, text: str, encode: Callable[[str], bytes], packings: list[Callable[[bytes], bytes]], ends: str
) -> None:
    whole = f'{{"a": 1}}\n{text}'
    data = encode(whole.replace("\n", ends))
    for pack in packings:
        data = pack(data)
    path = tmp_path / "export"
    path.write_bytes(data)

    assert read_all(path) == [whole]


def test_a_zip_has_several_texts_and_each_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one.jsonl", "1")
        archive.writestr("two.jsonl.gz", gzip.compress(b"2"))

    assert [(part.name, part.text.read()) for part in open_parts(str(path))] == [
        (f"{path}: a/one.jsonl", "1"),
        (f"{path}: two.jsonl.gz", "2"),
    ]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"%PDF-1.7", "PDF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"SQLite format 3\x00 ", "SQLite"),
        (b"PAR1....", "Parquet"),
        (b"--boundary\r\ncontent-type: application/json\r\n\r\n{}", "multipart"),
        (b"-- MySQL dump 10.13\nCREATE TABLE x (y int);", "SQL"),
        (b"INSERT INTO x VALUES (1);", "SQL"),
        (b"\x00\x01\x02\x03", "not text"),
        (b"a" * 257 + b"ustar", "tar"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], "cannot be read"),
        (gzip.compress(b"", mtime=0), "empty"),
        (pack_zip(b"1")[:-10], "cannot be read"),
        (b"\x28\xb5\x2f\xfd broken", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, data: bytes, named: str) -> None:
    path = tmp_path / "export"
    path.write_bytes(data)
    with pytest.raises(ProgressError) as error:
        read_all(path)

    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_workbook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(ProgressError, match="save the table as CSV"):
        read_all(path)


@pytest.mark.parametrize("name", ["", "nothing"])
def test_a_directory_and_a_missing_file_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProgressError, match="cannot be read"):
        read_all(tmp_path / name)
