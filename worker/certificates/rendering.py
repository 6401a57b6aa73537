"""Renders certificates as PDF/A-3b and PDF/UA-1, with the typst compiler that is in the wheel `typst`."""

import asyncio
import io
import json
import re
import threading
import unicodedata
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from worker.certificates.certificate import Certificate, build_link
from worker.certificates.design import Design, look_at_files, read_design
from worker.certificates.settings import CertificateSettings
from worker.errors import CannotRender, RenderingBusy, SetupError

try:
    import segno
    import typst
except ImportError:
    raise SetupError("certificates need more packages: pip install 'course-progress[certificates]'") from None

AT_ONCE = 2  # threads
MOST_WAITING = 64  # callers, those in hand among them
A4_INCHES = 297 / 25.4  # wide

# What every template is put into. It shows nothing: it gives the document its title, its language and its credential.
AROUND = b"""#let certificate = json(bytes(sys.inputs.certificate))
#set document(title: "Certificate of Completion: " + certificate.title, author: certificate.issuer)
#set text(lang: "en")
#if "credential" in sys.inputs {
  pdf.attach(
    "credential.json",
    bytes(sys.inputs.credential),
    relationship: "data",
    mime-type: "application/vc",
    description: "The Open Badges 3.0 credential of this certificate",
  )
}
#include "certificate.typ"
"""
NO_GLYPH = re.compile(r'^error: .*the text `"(.+)"` could not be displayed', re.MULTILINE)
MOST_SHOWN = 8  # characters that no font has
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
PLACE = re.compile(r"┌─ (?:.*/)?(\S+\.typ:\d+:\d+)")


class Renderer:
    """Renders with one design, which is read again when one of its files has changed.

    The bytes are a function of the certificate, the credential and `versions`: neither the clock nor the machine's own
    fonts come in. The compiler lets go of Python's lock, so the event loop goes on meanwhile.
    """

    def __init__(self, settings: CertificateSettings) -> None:
        """Reads nothing yet: what is wrong with the settings is raised by whatever needs them."""
        self._settings = settings
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="render")
        self._lock = threading.Lock()
        self._design: Design | None = None
        self._waiting = 0

    @property
    def versions(self) -> dict[str, str]:
        """Returns digests of template and fonts, and the versions of the libraries: the same ones, the same bytes.

        The template's digest covers the logo, the signature and every setting that shows. Looks at the files, and
        reads them if they have changed. Raises CannotRender.
        """
        return dict(self._read_design().versions)

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes:
        """Renders a PDF, with the credential attached as `credential.json`, in a thread.

        Raises CannotRender, which names the character that no font has or what else has to change, and RenderingBusy
        when MOST_WAITING callers are waiting.
        """
        return await self._run(certificate, credential, None)

    async def draw(self, certificate: Certificate, width: int) -> bytes:
        """Draws a PNG of the first page, about `width` pixels wide. Raises as `render` does."""
        return await self._run(certificate, None, width)

    async def _run(self, certificate: Certificate, credential: dict[str, Any] | None, width: int | None) -> bytes:
        if self._waiting >= MOST_WAITING:
            raise RenderingBusy(f"{MOST_WAITING} certificates are being rendered: repeat this in a second")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._render, certificate, credential, width)
        finally:
            self._waiting -= 1

    def _render(self, certificate: Certificate, credential: dict[str, Any] | None, width: int | None) -> bytes:
        design = self._read_design()
        packages = design.folder / "packages"
        inputs = {**self._describe(certificate, design), **design.pictures}
        if credential is not None:
            # Sorted, so that the credential is the same file before and after it lay in the database.
            inputs["credential"] = json.dumps(credential, ensure_ascii=False, indent=2, sort_keys=True)
        try:
            compiler = typst.Compiler(
                AROUND,
                root=design.folder,
                font_paths=design.fonts,
                sys_inputs=inputs,
                package_path=packages,
                package_cache_path=packages,
            )
            made, warnings = compiler.compile_with_warnings(
                format="pdf", pdf_standards=["a-3b", "ua-1"], timestamp=int(certificate.issued_at.timestamp())
            )
            if width is not None:  # after the PDF, because only that refuses what no font has
                made = compiler.compile(AROUND, format="png", ppi=width / A4_INCHES)
        except (RuntimeError, OSError) as error:
            raise CannotRender(explain(error, certificate, design.folder)) from None
        for warning in warnings:
            if warning.message.startswith("unknown font family"):
                raise CannotRender(f"{design.folder}: {warning.message}: see PROGRESS_CERTIFICATE_FONTS")
        return made[0] if isinstance(made, list) else made or b""  # several pages are a list of pictures

    def _read_design(self) -> Design:
        with self._lock:
            state = look_at_files(self._settings)
            if self._design is None or self._design.state != state:
                self._design = read_design(self._settings, state, AROUND)
            return self._design

    def _describe(self, certificate: Certificate, design: Design) -> dict[str, str]:
        """Builds what a template knows of the certificate; docs/certificate-templates.md promises all of it."""
        settings = self._settings
        if settings.public_url is None:
            raise CannotRender("PROGRESS_PUBLIC_URL must be set: links and QR codes of certificates begin with it")
        link = build_link(str(settings.public_url), certificate.code)
        known = {
            "code": certificate.code,
            "link": link,
            "name": certificate.name,
            "name_direction": find_direction(certificate.name),
            "title": certificate.title,
            "title_direction": find_direction(certificate.title),
            "completed_on": certificate.completed_on.isoformat(),
            "course_version": certificate.course_version,
            "issuer": settings.certificate_issuer,
            "signatory": settings.certificate_signatory,
            "colour": settings.certificate_colour,
            "fonts": design.fonts.families(),
        }
        picture = io.BytesIO()
        segno.make_qr(link, error="m").save(picture, kind="svg", border=0, xmldecl=False, nl=False)
        return {"certificate": json.dumps(known), "qr": picture.getvalue().decode()}


def find_direction(text: str) -> Literal["ltr", "rtl"]:
    """Finds the direction of a text as Unicode does: that of its first character which has one."""
    for kind in map(unicodedata.bidirectional, text):
        if kind in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return "ltr"


def explain(error: Exception, certificate: Certificate, folder: Path) -> str:
    """Says in one line why the template does not compile, without the learner's name."""
    message = str(getattr(error, "message", error)).partition("\n")[0]
    diagnostic = str(getattr(error, "diagnostic", ""))  # with every error of the document
    missing = [ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) for text in NO_GLYPH.findall(diagnostic)]
    if missing:
        return f"{explain_missing(set(''.join(missing)), certificate)}: see PROGRESS_CERTIFICATE_FONTS"
    place = PLACE.search(diagnostic)
    where = f"{folder}, {place[1]}" if place else str(folder)
    return f"the template does not compile: {message.replace(certificate.name, '…')} ({where})"


def explain_missing(characters: Collection[str], certificate: Certificate) -> str:
    """Names these characters, which no font has, and where they stand: in the order of Unicode, which spells no name.

    At most MOST_SHOWN of each place, and one of the name, because the reason stands in logs.
    """
    texts = {"name": certificate.name, "title": certificate.title}
    places: dict[str, list[str]] = {}
    for character in sorted(characters):
        where = next((where for where, text in texts.items() if character in text), "template")
        places.setdefault(where, []).append(f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip())
    most = dict.fromkeys(places, MOST_SHOWN) | {"name": 1}
    shown = "; ".join(f"of the {where}, {list_some(found, most[where])}" for where, found in places.items())
    return f"no font has {'a character' if len(characters) == 1 else 'characters'} {shown}"


def list_some(found: Sequence[str], most: int) -> str:
    """Lists the first `most`, and says how many more there are."""
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")
