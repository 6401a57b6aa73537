"""Reads what certificates look like: the template, its fonts, the logo and the signature."""

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from worker.certificates.settings import CertificateSettings
from worker.errors import CannotRender, SetupError

try:
    import typst
except ImportError:
    raise SetupError("certificates need more packages: pip install 'course-progress[certificates]'") from None

OUR_TEMPLATE = Path(__file__).parent / "template"
FONTS = {".ttf", ".otf", ".ttc", ".otc"}
FETCHED = re.compile(rb'"@preview/([\w.-]+):([\w.-]+)"')
SHOWN = ("public_url", "certificate_issuer", "certificate_signatory", "certificate_colour")
TEMPLATE, TYPEFACES, LOGO, SIGNATURE = (
    f"PROGRESS_CERTIFICATE_{name}" for name in ("TEMPLATE", "FONTS", "LOGO", "SIGNATURE")
)

State = tuple[tuple[str, int, int], ...]  # of each file: path, time of change, size


@dataclass(frozen=True, slots=True)
class Design:
    """Holds what was read. With the same `versions`, the same certificate has the same bytes."""

    state: State
    folder: Path
    fonts: typst.Fonts
    pictures: dict[str, str]  # SVG
    versions: dict[str, str]


def look_at_files(settings: CertificateSettings) -> State:
    """Finds the files that a design is made of, without reading them. Raises CannotRender for a missing directory."""
    paths = _list_files(TEMPLATE, settings.certificate_template or OUR_TEMPLATE)
    if settings.certificate_fonts:
        paths += _list_files(TYPEFACES, settings.certificate_fonts)
    pictures = (settings.certificate_logo, settings.certificate_signature)
    try:
        paths += [path for path in pictures if path and path.exists()]
        found = [(str(path), path.stat()) for path in paths]
    except OSError as error:
        raise CannotRender(f"{error.filename}: {error.strerror}") from None
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)


def read_design(settings: CertificateSettings, state: State, around: bytes) -> Design:
    """Reads the files, which were as `state` says. `around` is what every template is put into.

    Raises CannotRender, which names the setting whose file cannot be read.
    """
    folder = settings.certificate_template or OUR_TEMPLATE
    template = dict(_read_files(TEMPLATE, folder))
    if "certificate.typ" not in template:
        raise CannotRender(f"{TEMPLATE}: there is no certificate.typ in {folder}")
    _require_packages(template)
    pictures = {}
    if settings.certificate_logo:
        pictures["logo"] = _read_picture(LOGO, settings.certificate_logo)
    if settings.certificate_signature:
        pictures["signature"] = _read_picture(SIGNATURE, settings.certificate_signature)
    fonts, digest_of_fonts = _read_fonts(settings.certificate_fonts)
    shown = {name: str(getattr(settings, name)) for name in SHOWN} | pictures
    parts = [("", around), *template.items(), *((name, text.encode()) for name, text in shown.items())]
    versions = {
        "template": _digest(parts),
        "fonts": digest_of_fonts,
        "typst": version("typst"),
        "segno": version("segno"),
    }
    return Design(state, folder, fonts, pictures, versions)


def _list_files(setting: str, folder: Path) -> list[Path]:
    try:
        os.listdir(folder)  # rglob is silent about a folder that is missing or closed
        return sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise CannotRender(f"{setting}: {error.filename or folder}: {error.strerror}") from None


def _read_files(setting: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in _list_files(setting, folder):
        yield path.relative_to(folder).as_posix(), _read_file(setting, path)


def _read_file(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotRender(f"{setting}: {path}: {error.strerror}") from None


def _read_fonts(folder: Path | None) -> tuple[typst.Fonts, str]:
    """Reads the built-in fonts and those of the folder, and digests the latter. The machine's own never count."""
    if folder is None:
        return typst.Fonts(include_system_fonts=False), "built-in"
    files = [(name, content) for name, content in _read_files(TYPEFACES, folder) if Path(name).suffix.lower() in FONTS]
    if not files:
        raise CannotRender(f"{TYPEFACES}: there is no font in {folder}")
    return typst.Fonts(include_system_fonts=False, font_paths=[folder]), _digest(files)


def _read_picture(setting: str, path: Path) -> str:
    """Reads an SVG or PNG file as SVG, because what a template is given is text."""
    content = _read_file(setting, path)
    form = "png" if content.startswith(b"\x89PNG\r\n\x1a\n") else "svg"
    check = typst.Compiler(
        b'#image("/" + sys.inputs.file, format: sys.inputs.form)',
        root=path.parent,
        font_paths=typst.Fonts(include_system_fonts=False),
        sys_inputs={"file": path.name, "form": form},
    )
    try:
        check.compile(format="pdf")
    except (RuntimeError, OSError) as error:
        reason = str(getattr(error, "message", error)).partition("\n")[0]
        raise CannotRender(f"{setting}: {path} is neither an SVG nor a PNG that can be read: {reason}") from None
    if form == "svg":
        return content.decode()
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"><image width="{width}" '
        f'height="{height}" href="data:image/png;base64,{b64encode(content).decode()}"/></svg>'
    )


def _require_packages(template: dict[str, bytes]) -> None:
    """Raises CannotRender for a package that is not in the template's `packages`: the compiler would fetch it."""
    for name, content in template.items():
        for found in FETCHED.finditer(content) if name.endswith(".typ") else ():
            package, number = (part.decode() for part in found.groups())
            if f"packages/preview/{package}/{number}/typst.toml" not in template:
                raise CannotRender(
                    f"{TEMPLATE}: {name} imports @preview/{package}:{number}, which must lie in "
                    f"packages/preview/{package}/{number} of the template: nothing is fetched"
                )


def _digest(parts: Iterable[tuple[str, bytes]]) -> str:
    total = blake2b(digest_size=16)
    for name, content in parts:
        for part in (name.encode(), content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
