"""The pages of ``imgcls.search``: pictures of a data set that want a look, and pictures that are alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcls.machine.files import atomic_write
from imgcls.report.document import document, source, text

STYLE = Path(__file__).parent / "html"
Thumbnail = Callable[[str], bytes | None]
"""From a path to a small JPEG, ``None`` where the picture cannot be read any more."""


@dataclass(frozen=True)
class Shown:
    """A picture with what is said below it.

    Args:
        path: of its file.
        name: of its class, where it has one.
        note: a figure or some words.
        asked: it is the one whose like were looked for.
    """

    path: str
    name: str | None = None
    note: str = ""
    asked: bool = False


@dataclass(frozen=True)
class WrongLabel:
    """A likely wrong label: the picture, the class it looks like, the probabilities of both, and its nearest."""

    picture: Shown
    suggested: str
    of_label: float
    of_suggested: float
    nearest: Shown | None


@dataclass(frozen=True)
class Copies:
    """Pictures that are copies of one another, and what is wrong with that beside."""

    pictures: Sequence[Shown]
    warnings: Sequence[str] = ()


def build_page(
    title: str,
    facts: dict[str, str],
    tiles: dict[str, str],
    wrong_labels: Sequence[WrongLabel],
    copies: Sequence[Copies],
    outliers: Sequence[Shown],
    notes: dict[str, str],
    thumbnail: Thumbnail,
) -> str:
    """What in a data set wants a look; see ``document``.

    Args:
        facts: names and values for the head.
        tiles: figures by what they count.
        notes: a sentence below the heading of ``labels``, ``copies`` and ``outliers``.
    """
    parts = [
        _section("Likely wrong labels", notes["labels"], _cards(wrong_labels, thumbnail)),
        _section("Copies", notes["copies"], "".join(_group(each, thumbnail) for each in copies)),
        _section("Outliers", notes["outliers"], _strip(outliers, thumbnail)),
    ]
    return _page(title, facts, tiles, parts)


def query_page(title: str, facts: dict[str, str], rows: Sequence[Sequence[Shown]], thumbnail: Thumbnail) -> str:
    """Rows of pictures: one that was asked for, and those that are most like it."""
    parts = [f"<section>{_strip(row, thumbnail)}</section>" for row in rows]
    return _page(title, facts, {}, parts)


def _page(title: str, facts: dict[str, str], tiles: dict[str, str], parts: Sequence[str]) -> str:
    style = "\n".join((STYLE / name).read_text("ascii") for name in ("page.css", "search.css"))
    head = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())
    figures = "".join(
        f'<div class="tile"><b>{text(value)}</b><span>{text(name)}</span></div>' for name, value in tiles.items()
    )
    return document(
        title,
        style,
        f'<header><h1>{text(title)}</h1><dl id="origin">{head}</dl></header><main><div id="headline">{figures}</div>'
        f"{''.join(parts)}</main>",
    )


def _section(title: str, note: str, content: str) -> str:
    return f'<section><h2>{text(title)}</h2><p class="note">{text(note)}</p>{content}</section>'


def _cards(labels: Sequence[WrongLabel], thumbnail: Thumbnail) -> str:
    return f'<div class="cards">{"".join(_card(label, thumbnail) for label in labels)}</div>' if labels else ""


def _card(label: WrongLabel, thumbnail: Thumbnail) -> str:
    images = [_image(shown, thumbnail) for shown in (label.picture, label.nearest) if shown is not None]
    nearest = label.nearest
    said = (
        f'<p class="note">right: the picture most like it, {text(nearest.name or "without a label")}</p>'
        if nearest
        else ""
    )
    return (
        f'<article class="card"><div class="pair">{"".join(images)}</div>'
        f"{_answer('labelled', label.picture.name or '', label.of_label, 'wrong')}"
        f"{_answer('looks like', label.suggested, label.of_suggested, 'true')}"
        f"{said}{_path(label.picture.path)}</article>"
    )


def _answer(verb: str, name: str, score: float, kind: str) -> str:
    return f'<p class="answer {kind}"><span>{verb}</span><b>{text(name)}</b><em>{100 * score:.1f}&nbsp;%</em></p>'


def _group(copies: Copies, thumbnail: Thumbnail) -> str:
    warnings = "".join(f'<p class="warning">{text(warning)}</p>' for warning in copies.warnings)
    return f'<div class="group">{warnings}{_strip(copies.pictures, thumbnail)}</div>'


def _strip(pictures: Sequence[Shown], thumbnail: Thumbnail) -> str:
    return f'<div class="strip">{"".join(_figure(shown, thumbnail) for shown in pictures)}</div>' if pictures else ""


def _figure(shown: Shown, thumbnail: Thumbnail) -> str:
    name = f"<b>{text(shown.name)}</b>" if shown.name else ""
    asked = ' class="asked"' if shown.asked else ""
    caption = f"{name}{text(shown.note)}{_path(shown.path)}"
    return f"<figure{asked}>{_image(shown, thumbnail)}<figcaption>{caption}</figcaption></figure>"


def _path(path: str) -> str:
    return f'<p class="path" title="{text(path)}">{text("/".join(path.split("/")[-2:]))}</p>'


def _image(shown: Shown, thumbnail: Thumbnail) -> str:
    picture = thumbnail(shown.path)
    alt = text(path_name(shown.path))
    return (
        f'<img src="{source(picture, "jpeg")}" alt="{alt}">'
        if picture
        else '<div class="gone">not there any more</div>'
    )


def path_name(path: str) -> str:
    """The name of a file."""
    return path.rpartition("/")[2]


def write_page(file: Path, page: str) -> None:
    """Whole or not at all."""
    with atomic_write(file) as partial:
        partial.write_text(page, encoding="ascii")
