"""Fonts that can draw the names of classes and runs, whatever their script, out of those that are installed."""

import logging
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from imgcls.data.paths import bullet_list

log = logging.getLogger("imgcls")

FIRST = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew and more, but no Chinese, Japanese or Korean."""

PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK TC", "Noto Sans SC", "Noto Sans JP"),
    *("Noto Sans KR", "Source Han Sans SC", "Source Han Sans CN", "Source Han Sans", "Source Han Sans JP"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "AR PL UMing CN"),
    *("Microsoft YaHei", "SimHei", "SimSun", "DengXian", "Microsoft JhengHei", "Yu Gothic", "Meiryo", "MS Gothic"),
    *("Malgun Gothic", "Gulim", "PingFang SC", "PingFang HK", "Hiragino Sans GB", "Hiragino Sans", "Heiti SC"),
    *("STHeiti", "Songti SC", "Apple SD Gothic Neo", "AppleGothic", "Arial Unicode MS"),
    *("IPAexGothic", "IPAGothic", "IPAPGothic", "TakaoGothic", "VL Gothic", "NanumGothic", "Nanum Gothic", "UnDotum"),
)
"""Of the fonts that can draw a text, these come first; any other that can will do."""

PLACEHOLDERS = ("Last Resort", "Noto Color Emoji")
"""Have a glyph for everything that says nothing, and pictures that matplotlib cannot draw."""

SHOWN = 10


def families_for(texts: Iterable[str]) -> list[str]:
    """Matplotlib's ``font.family`` for these texts: the first font, and after it as many as they need."""
    return _families("".join(sorted(set("".join(texts)))))[0]


def font_file(text: str) -> str | None:
    """The file of one font that has all of the text; ``None`` where there is none."""
    needed = set(filter(_needs_glyph, text))
    paths = (_path(FIRST), *(path for _, path in _others())) if needed - _glyphs(_path(FIRST)) else (_path(FIRST),)
    return next((path for path in paths if needed <= _glyphs(path)), None)


def drawable(text: str) -> bool:
    """Whether ``families_for`` this text has all that it needs."""
    return not _families(text)[1]


def labels_of(names: Mapping[int, str], where: str, can_draw: Callable[[str], object] = drawable) -> dict[int, str]:
    """The names as a drawing has them: those that no font can draw are numbers, which one warning explains.

    Args:
        names: of the class numbers that are drawn.
        where: what is drawn, for the warning.
        can_draw: ``drawable``, or ``font_file`` for a drawing that has one font for a text.
    """
    missing = sorted(number for number, name in names.items() if not can_draw(name))
    if missing:
        lines = [f"{number}: {names[number]}" for number in missing[:SHOWN]]
        log.warning(
            "No font on this machine can draw %d of the class names; %s shows their numbers instead. A font that can "
            "is Noto Sans CJK (apt install fonts-noto-cjk).\n%s",
            *(len(missing), where, bullet_list(lines, len(missing))),
        )
    return {**names, **{number: str(number) for number in missing}}


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Inside, matplotlib draws these texts with whatever fonts they need, and says nothing of what it cannot draw."""
    from matplotlib import rc_context

    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)  # of a family that has no regular weight, any does
    with rc_context({"font.family": families_for(texts)}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        try:
            yield
        finally:
            logger.setLevel(level)


@cache
def _families(text: str) -> tuple[list[str], set[str]]:
    """Families that together draw as much of the text as there are fonts for, and the characters that none has."""
    families, missing = [FIRST], set(filter(_needs_glyph, text)) - _glyphs(_path(FIRST))
    for family, path in _others() if missing else ():
        if found := missing & _glyphs(path):
            families.append(family)
            missing -= found
        if not missing:
            break
    return families, missing


def _needs_glyph(character: str) -> bool:
    """Blanks, joiners and selectors of variants are drawn as nothing."""
    return not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc") and character != "\ufe0f"


def _path(family: str) -> str:
    from matplotlib import font_manager

    return font_manager.findfont(family, fallback_to_default=True)


@cache
def _glyphs(path: str) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):  # not what FreeType takes for an outline font
        return frozenset()


@cache
def _others() -> tuple[tuple[str, str], ...]:
    """Family and file of every other upright font of usual weight on the system, preferred ones first."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():  # one may have been installed since matplotlib made its list
        if path not in known and path.lower().endswith((".ttf", ".ttc", ".otf")):
            try:
                manager.addfont(path)
            except (OSError, RuntimeError, ValueError):
                continue
    upright = {
        entry.name: entry.fname
        for entry in sorted(manager.ttflist, key=lambda entry: entry.weight == 400)  # the last of a family stays
        if entry.style == "normal" and entry.name != FIRST and not entry.name.startswith(PLACEHOLDERS)
    }
    order = {family: place for place, family in enumerate(PREFERRED)}
    return tuple(
        (family, font_path)
        for family, font_path in sorted(upright.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))
    )
