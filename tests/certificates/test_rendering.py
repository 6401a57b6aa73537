import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import threading
import zlib
from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import pypdf
import pypdfium2
import pytest

from worker.certificates import rendering
from worker.certificates.certificate import Certificate
from worker.certificates.design import look_at_files
from worker.certificates.rendering import Renderer, find_direction
from worker.certificates.settings import CertificateSettings
from worker.errors import CannotRender, RenderingBusy

CODE = "mfrggzdfmztwq2lkobqwg23bni"
ISSUED_AT = datetime(2026, 12, 1, 8, 30, 15, tzinfo=UTC)
CREDENTIAL = {"type": ["VerifiableCredential"], "credentialSubject": {"achievement": {"name": "Ströme"}}}
DOCUMENT = Path(__file__).parents[2] / "docs" / "certificate-templates.md"
NOTO = Path("/usr/share/fonts/truetype/noto")
MARGIN, MM = 20, 72 / 25.4  # nothing that is read stands nearer to the edge than so many millimetres
LONG_TITLE = ("Distributed systems, with an emphasis on consistency and replication; " * 5)[:300]

# The SHA-256 of one PDF, by the version of typst. What else changes it: the template, what is put around it, segno.
GOLDEN = {"0.15.2": "1985e2c44600233938e8b4cb32e99bbf5c1cd8596a56ab53ad21d464ce524499"}

RENDERED = {
    "Latin": "Zoë Ångström-Đỗ",
    "Greek": "Αθηνά Παπαδοπούλου",
    "Cyrillic": "Екатерина Преображенская",
    "Hebrew": "יצחק בן־צבי",
    "Arabic": "محمد الأنصاري",
    "Devanagari": "अनुष्का शर्मा",
    "Armenian": "Արամ Խաչատրյան",
    "Georgian": "შოთა რუსთაველი",
}
REFUSED = {
    "Thai": ("ก้องเกียรติ", "U+0E01 THAI CHARACTER KO KAI"),
    "Tamil": ("அனிதா", "U+0B85 TAMIL LETTER A"),
    "Bengali": ("রবীন্দ্রনাথ", "U+09A5 BENGALI LETTER THA"),
    "Chinese": ("李明", "U+660E CJK UNIFIED IDEOGRAPH-660E"),
    "Japanese": ("さくら", "U+304F HIRAGANA LETTER KU"),
    "Korean": ("김민수", "U+AE40 HANGUL SYLLABLE GIM"),
    "emoji": ("Ada 😀", "U+1F600 GRINNING FACE"),
    "unassigned": ("Ada \u0378", "U+0378"),
}


def build_renderer(**changed: Any) -> Renderer:
    return Renderer(CertificateSettings(**{"public_url": "https://learn.example", **changed}))


def certify(name: str = "Ada Lovelace", title: str = "Event Streaming") -> Certificate:
    day = date(2026, 11, 30)
    return Certificate(CODE, UUID(int=1), UUID(int=2), 3, 1, name, title, day, ISSUED_AT, ISSUED_AT)


def open_page(pdf: bytes) -> pypdfium2.PdfTextPage:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    return document[0].get_textpage()


def read_text(pdf: bytes) -> str:
    text: str = open_page(pdf).get_text_range()
    return text.replace("\r\n", "\n")


def measure(page: pypdfium2.PdfTextPage, start: int, end: int) -> tuple[float, float, float, float]:
    """Returns left, bottom, right and top of what these characters cover, in points from the lower left corner."""
    boxes = [page.get_charbox(i) for i in range(start, end)]
    left, bottom, right, top = zip(*(box for box in boxes if box[2] > box[0]), strict=True)
    return min(left), min(bottom), max(right), max(top)


def write_template(folder: Path, source: str | bytes) -> Path:
    template = folder / "template"
    template.mkdir(exist_ok=True)
    (template / "certificate.typ").write_bytes(source if isinstance(source, bytes) else source.encode())
    return template


def require(what: bool, name: str) -> None:
    """Skips where something is not installed, but not in the pipeline, which installs it."""
    if not what and os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(f"{name} is not installed")
    if not what:
        pytest.skip(f"{name} is not installed")


async def test_a_certificate_says_who_has_completed_what_and_when() -> None:
    text = read_text(await build_renderer(certificate_issuer="Example Academy").render(certify(), CREDENTIAL))

    for words in (
        "Ada Lovelace",
        "Event Streaming",
        "30 November 2026",
        "Example Academy",
        "learn.example/verify",
        CODE,
    ):
        assert words in text


async def test_the_same_certificate_has_the_same_bytes() -> None:
    first = await build_renderer().render(certify(), CREDENTIAL)
    other_order = dict(reversed(CREDENTIAL.items()))

    assert await build_renderer().render(certify(), json.loads(json.dumps(other_order))) == first
    assert await build_renderer().render(certify(name="Ada Byron"), CREDENTIAL) != first


async def test_a_release_that_changes_the_bytes_says_so(tmp_path: Path) -> None:
    pdf = await build_renderer().render(certify(), CREDENTIAL)
    number, digest, file = version("typst"), sha256(pdf).hexdigest(), tmp_path / "certificate.pdf"
    file.write_bytes(pdf)

    assert GOLDEN.get(number) == digest, (
        f"certificates have other bytes than before, with typst {number}: look at {file}, say so in CHANGELOG.md, and "
        f"write into GOLDEN of this file: {number!r}: {digest!r}"
    )


async def test_a_certificate_is_an_archivable_and_accessible_document() -> None:
    document = pypdf.PdfReader(io.BytesIO(await build_renderer().render(certify(), CREDENTIAL)))
    root = document.trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()

    assert "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert document.metadata.title == "Certificate of Completion: Event Streaming"
    assert document.metadata.author == "course-progress"
    assert document.metadata.creation_date == ISSUED_AT
    assert f"QR code of https://learn.example/verify/{CODE}" in find_alternatives(root["/StructTreeRoot"])


def find_alternatives(element: Any) -> list[str]:
    """Finds the texts that stand for pictures."""
    element = element.get_object() if hasattr(element, "get_object") else element
    if isinstance(element, list):
        return [text for child in element for text in find_alternatives(child)]
    if not isinstance(element, dict):
        return []
    here = [str(element["/Alt"])] if "/Alt" in element else []
    return here + find_alternatives(element.get("/K", []))


async def test_the_credential_is_attached() -> None:
    document = pypdf.PdfReader(io.BytesIO(await build_renderer().render(certify(), CREDENTIAL)))
    (file,) = document.trailer["/Root"]["/AF"]

    assert json.loads(document.attachments["credential.json"][0]) == CREDENTIAL
    assert file.get_object()["/AFRelationship"] == "/Data"


async def test_without_a_credential_nothing_is_attached() -> None:
    document = pypdf.PdfReader(io.BytesIO(await build_renderer().render(certify(), None)))

    assert not document.attachments


@pytest.mark.processes
def test_qpdf_finds_nothing_wrong(tmp_path: Path) -> None:
    require(shutil.which("qpdf") is not None, "qpdf")
    path = tmp_path / "certificate.pdf"
    path.write_bytes(asyncio.run(build_renderer().render(certify(), CREDENTIAL)))

    checked = subprocess.run(["qpdf", "--check", path], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", RENDERED.values(), ids=RENDERED)
async def test_these_scripts_are_rendered_with_the_built_in_fonts(name: str) -> None:
    text = read_text(await build_renderer().render(certify(name, title=f"{name} 1"), None))

    assert set(name) <= set(text)


@pytest.mark.parametrize(("name", "character"), REFUSED.values(), ids=REFUSED)
async def test_what_no_font_has_is_refused_by_its_character(name: str, character: str) -> None:
    renderer = build_renderer()

    with pytest.raises(CannotRender, match="PROGRESS_CERTIFICATE_FONTS") as refused:
        await renderer.render(certify(name), None)
    with pytest.raises(CannotRender, match="of the title"):
        await renderer.draw(certify(title=name), 400)

    assert re.search(f"no font has (a character|characters) of the name, .*{re.escape(character)}", str(refused.value))
    assert name not in str(refused.value)


async def test_all_that_no_font_has_is_named_with_its_place_and_spells_no_name() -> None:
    with pytest.raises(CannotRender) as refused:
        await build_renderer().render(certify("Ada さく明", title="😀 Ropes"), None)

    assert str(refused.value) == (
        "no font has characters of the name, U+304F HIRAGANA LETTER KU and 2 more; "
        "of the title, U+1F600 GRINNING FACE: see PROGRESS_CERTIFICATE_FONTS"
    )


async def test_of_very_many_that_no_font_has_the_number_is_said() -> None:
    with pytest.raises(CannotRender) as refused:
        await build_renderer().render(certify(title="".join(map(chr, range(0x3042, 0x3042 + 20)))), None)

    assert str(refused.value).count("U+") == rendering.MOST_SHOWN
    assert "U+3042 HIRAGANA LETTER A," in str(refused.value)
    assert f" and {20 - rendering.MOST_SHOWN} more: see PROGRESS_CERTIFICATE_FONTS" in str(refused.value)


@pytest.mark.parametrize("script", ["Thai", "Tamil", "Bengali"])
def test_further_fonts_have_further_scripts(script: str) -> None:
    require(NOTO.is_dir(), "fonts-noto-core")
    name, _ = REFUSED[script]

    assert name in read_text(asyncio.run(build_renderer(certificate_fonts=NOTO).render(certify(name), None)))


@pytest.mark.parametrize("name", [RENDERED["Hebrew"], RENDERED["Arabic"]])
async def test_a_name_from_right_to_left_begins_on_the_right(name: str) -> None:
    page = open_page(await build_renderer().render(certify(f"{name}."), None))
    text = page.get_text_range()
    positions = [page.get_charbox(text.index(letter))[0] for letter in (name[0], name[-1], ".")]

    # The full stop of the name is the first on the page, and stands on the left of all.
    assert positions == sorted(positions, reverse=True)


@pytest.mark.parametrize(
    ("text", "direction"),
    [("Ada", "ltr"), ("יצחק", "rtl"), ("محمد", "rtl"), ("1. (יצחק)", "rtl"), ("Ada יצחק", "ltr"), ("12", "ltr")],
)
def test_the_first_letter_decides_the_direction(text: str, direction: str) -> None:
    assert find_direction(text) == direction


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (("Maximiliane Alexandra von Hohenstein-Wittelsbach " * 5)[:200].strip(), LONG_TITLE.strip()),
        ("W" * 200, "m" * 300),
        ("Anna-Maria-" * 18, "und/oder/" * 33),
        ("Ж", "Щ"),
        ("ÁÇĞŐŲ Ỗỹ " * 20, "gjpqyQ " * 40),
    ],
    ids=["words", "one word", "parts", "one letter", "accents"],
)
async def test_any_length_stays_in_its_room(name: str, title: str) -> None:
    pdf = await build_renderer().render(certify(name, title), None)
    page = open_page(pdf)
    text = page.get_text_range()
    # In the order of the text: what is written above the name, the name, what is written above the title, the title.
    phrases = ("This is to certify that", "has completed the course", "on 30 November 2026")
    places = [(text.index(phrase), text.index(phrase) + len(phrase)) for phrase in phrases]
    above, between, below = (measure(page, *place) for place in places)

    for (_, start), (end, _), upper, lower in zip(places, places[1:], (above, between), (between, below), strict=False):
        left, bottom, right, top = measure(page, start, end)
        assert MARGIN * MM < left < right < (297 - MARGIN) * MM
        assert lower[3] < bottom < top < upper[1]


@pytest.mark.parametrize(
    "text", ['#panic("no")', "*a* _b_ $x$ <c> @d `e`", '"); #import "x.typ"', "\\u{41} // /* a", "= B"]
)
async def test_typst_code_is_only_text(text: str) -> None:
    shown = read_text(await build_renderer().render(certify(text, text), None))

    assert shown.count(text) == 2


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Hello\n#foo(", r"unclosed delimiter \(.*template, certificate.typ:2:4\)"),
        (b"\xff\xfe", "file is not valid UTF-8"),
        ('#set text(font: "Nope")\nHello', "unknown font family: nope: see PROGRESS_CERTIFICATE_FONTS"),
        ('#image("no.png", alt: "x")', r"file not found .*certificate.typ:1:7"),
        ('#read("../../secret")', "would escape the project root"),
        ('#image(bytes(sys.inputs.qr), format: "svg")', "PDF/UA-1 error: missing alt text"),
        ("#let f(x) = f(x)\n#f(1)", "maximum function call depth exceeded"),
        ("#panic(json(bytes(sys.inputs.certificate)).name)", "panicked"),
        ('#import "@preview/cetz:0.4.0": canvas', "must lie in packages/preview/cetz/0.4.0 of the template"),
    ],
)
async def test_a_template_that_does_not_compile_says_where(source: str | bytes, reason: str, tmp_path: Path) -> None:
    renderer = build_renderer(certificate_template=write_template(tmp_path, source))

    with pytest.raises(CannotRender, match=reason) as refused:
        await renderer.render(certify("Ada Lovelace"), None)

    assert "\n" not in str(refused.value)
    assert "Ada" not in str(refused.value)


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="{}"/></svg>'


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


HEADER = chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
PNG = b"\x89PNG\r\n\x1a\n" + HEADER + chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("picture", [SVG.format("red").encode(), PNG], ids=["SVG", "PNG"])
async def test_logo_and_signature_are_shown(picture: bytes, tmp_path: Path) -> None:
    (tmp_path / "a picture").write_bytes(picture)
    settings = {"certificate_signatory": "Grace Hopper", "certificate_issuer": "Example Academy"}
    pictures = {f"certificate_{name}": tmp_path / "a picture" for name in ("logo", "signature")}

    pdf = await build_renderer(**settings, **pictures).render(certify(), None)
    root = pypdf.PdfReader(io.BytesIO(pdf)).trailer["/Root"]

    assert {"Example Academy", "Signature of Grace Hopper"} <= set(find_alternatives(root["/StructTreeRoot"]))
    assert "Grace Hopper" in read_text(pdf)
    assert count_red_points(pdf) > 1000


def count_red_points(pdf: bytes) -> int:
    picture = pypdfium2.PdfDocument(pdf)[0].render(scale=1)
    points = bytes(picture.buffer)
    step = picture.n_channels
    return sum(points[i : i + 3] == b"\x00\x00\xff" for i in range(0, len(points), step))  # blue, green, red


@pytest.mark.parametrize("name", ["logo", "signature"])
@pytest.mark.parametrize("content", [None, b"", b"<svg", b"\xff\xd8\xff\xe0 a JPEG", PNG[:40], b"<html/>"])
async def test_a_picture_that_cannot_be_read_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CannotRender, match=rf"^PROGRESS_CERTIFICATE_{name.upper()}: {path}[^\n]*$"):
        await build_renderer(**{f"certificate_{name}": path}).render(certify(), None)


async def test_a_directory_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    for name in ("template", "fonts"):
        setting = f"PROGRESS_CERTIFICATE_{name.upper()}"
        with pytest.raises(CannotRender, match=f"^{setting}: {tmp_path}/none: No such file"):
            await build_renderer(**{f"certificate_{name}": tmp_path / "none"}).render(certify(), None)
        with pytest.raises(CannotRender, match=f"^{setting}: there is no .* in {tmp_path}$"):
            await build_renderer(**{f"certificate_{name}": tmp_path}).render(certify(), None)


async def test_without_a_public_address_there_are_no_certificates() -> None:
    with pytest.raises(CannotRender, match="PROGRESS_PUBLIC_URL must be set"):
        await build_renderer(public_url=None).render(certify(), None)


async def test_a_template_may_be_of_several_files_and_need_not_know_of_pdf(tmp_path: Path) -> None:
    template = write_template(tmp_path, '#import "parts/name.typ": name\n#name\n#image("p.png", alt: "a point")')
    (template / "parts").mkdir()
    (template / "parts" / "name.typ").write_text("#let name = json(bytes(sys.inputs.certificate)).name")
    (template / "p.png").write_bytes(PNG)

    pdf = await build_renderer(certificate_template=template).render(certify(), CREDENTIAL)

    assert "Ada Lovelace" in read_text(pdf)
    assert "credential.json" in pypdf.PdfReader(io.BytesIO(pdf)).attachments


async def test_the_template_of_the_documents_is_whole(tmp_path: Path) -> None:
    example = DOCUMENT.read_text().partition("```typst\n")[2].partition("```")[0]
    renderer = build_renderer(certificate_template=write_template(tmp_path, example))

    text = read_text(await renderer.render(certify(), CREDENTIAL))

    for words in ("Urkunde", "Ada Lovelace", "30.11.2026", "Event Streaming", CODE):
        assert words in text


async def test_fonts_of_the_machine_never_count(tmp_path: Path) -> None:
    """Otherwise the same certificate would have other bytes on another machine."""
    source = '#json(bytes(sys.inputs.certificate)).fonts.join(", ")'
    text = read_text(
        await build_renderer(certificate_template=write_template(tmp_path, source)).render(certify(), None)
    )

    assert text == "DejaVu Sans Mono, Libertinus Serif, New Computer Modern, New Computer Modern Math"


async def test_the_documents_name_all_that_a_template_is_given(tmp_path: Path) -> None:
    source = '#json(bytes(sys.inputs.certificate)).keys().join(" ") #sys.inputs.keys().join(" ")'
    logo = tmp_path / "logo.svg"
    logo.write_text(SVG.format("red"))
    renderer = build_renderer(
        certificate_template=write_template(tmp_path, source), certificate_logo=logo, certificate_signature=logo
    )
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    named = {word.removeprefix("sys.inputs.") for row in rows for word in re.findall(r"`([\w.]+)`", row.split("|")[1])}

    assert set(read_text(await renderer.render(certify(), CREDENTIAL)).split()) == named


async def test_a_template_that_was_put_right_is_read_again(tmp_path: Path) -> None:
    template = write_template(tmp_path, "#foo(")
    renderer = build_renderer(certificate_template=template)
    with pytest.raises(CannotRender):
        await renderer.render(certify(), None)
    before = renderer.versions

    write_template(tmp_path, "put right")

    assert "put right" in read_text(await renderer.render(certify(), None))
    assert renderer.versions["template"] != before["template"]


async def test_versions_change_with_all_that_changes_the_bytes(tmp_path: Path) -> None:
    logo, signature = tmp_path / "logo.svg", tmp_path / "signature.svg"
    logo.write_text(SVG.format("red"))
    signature.write_text(SVG.format("blue"))
    settings = [
        {},
        {"public_url": "https://other.example"},
        {"certificate_issuer": "Example Academy"},
        {"certificate_signatory": "Example Academy"},
        {"certificate_colour": "#102030"},
        {"certificate_logo": logo},
        {"certificate_signatory": "Grace Hopper", "certificate_signature": logo},
        {"certificate_signatory": "Grace Hopper", "certificate_signature": signature},
        {"certificate_template": write_template(tmp_path, "Hello")},
    ]
    renderers = [build_renderer(**changed) for changed in settings]

    assert len({renderer.versions["template"] for renderer in renderers}) == len(settings)
    assert len({await renderer.render(certify(), None) for renderer in renderers}) == len(settings)
    assert renderers[0].versions == build_renderer().versions
    assert renderers[0].versions.keys() == {"template", "fonts", "typst", "segno"}


async def test_versions_change_with_the_fonts(tmp_path: Path) -> None:
    (tmp_path / "one.ttf").write_bytes(b"no font, but a file")
    renderer = build_renderer(certificate_fonts=tmp_path)
    before = renderer.versions["fonts"]

    (tmp_path / "two.otf").write_bytes(b"another file")

    assert build_renderer().versions["fonts"] == "built-in"
    assert len({"built-in", before, renderer.versions["fonts"]}) == 3


async def test_a_picture_of_the_page_is_as_wide_as_it_is_asked_for() -> None:
    picture = await build_renderer().draw(certify(), 640)

    assert picture.startswith(b"\x89PNG")
    assert abs(int.from_bytes(picture[16:20], "big") - 640) <= 1


async def test_it_renders_in_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def look_and_note(settings: CertificateSettings) -> Any:
        threads.add(threading.current_thread().name)
        return look_at_files(settings)

    monkeypatch.setattr("worker.certificates.rendering.look_at_files", look_and_note)
    renderer = build_renderer()
    await asyncio.gather(*(renderer.render(certify(), None) for _ in range(8)))

    assert {name.rpartition("_")[0] for name in threads} == {"render"}
    assert len(threads) <= rendering.AT_ONCE


async def test_when_too_many_wait_the_next_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_WAITING", 2)
    renderer = build_renderer()

    results = await asyncio.gather(*(renderer.render(certify(), None) for _ in range(3)), return_exceptions=True)

    assert [type(result) for result in results] == [bytes, bytes, RenderingBusy]
    assert await renderer.render(certify(), None) == results[0]


async def test_a_caller_who_goes_away_leaves_no_place_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_WAITING", 1)
    renderer = build_renderer()
    waiting = asyncio.create_task(renderer.render(certify(), None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await renderer.render(certify(), None)
