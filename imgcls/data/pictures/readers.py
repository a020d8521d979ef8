"""Image formats whose reader may be missing: HEIF, which phones write, and AVIF."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

HEAD = 512
"""So many bytes at the start of a file say what it is."""


@dataclass(frozen=True)
class Format:
    """A format inside a container of boxes, the first of which (``ftyp``) lists brands.

    Args:
        name: Pillow's.
        suffixes: of its files, in lower case.
        brands: the file has one of them.
        missing: what to say where it cannot be read.
        register: make Pillow read it; whether that worked.
    """

    name: str
    suffixes: tuple[bytes, ...]
    brands: frozenset[bytes]
    missing: str
    register: Callable[[], bool]


def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _register_avif() -> bool:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # before Pillow 11.3
        return False
    return AvifImagePlugin.SUPPORTED


AVIF = Format(
    "AVIF",
    (b".avif", b".avifs"),
    frozenset((b"avif", b"avis")),
    'AVIF needs a newer Pillow: pip install "pillow>=11.3"',
    _register_avif,
)
HEIF = Format(
    "HEIF",
    (b".heic", b".heif", b".heics", b".heifs", b".hif"),
    frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
    "HEIC and HEIF need the package pillow-heif: pip install pillow-heif",
    _register_heif,
)
FORMATS = (AVIF, HEIF)  # an AVIF file may have a brand of both


@cache
def can_read(format: Format) -> bool:
    """Whether Pillow reads it here."""
    return format.register()


def format_of(head: bytes) -> Format | None:
    """The one of these formats that a file beginning with ``head`` has."""
    if head[4:8] != b"ftyp":
        return None
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12], *(box[start : start + 4] for start in range(16, len(box), 4))}
    return next((format for format in FORMATS if format.brands & brands), None)
