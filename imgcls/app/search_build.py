"""The index of a data set's features, and what in it wants a look: likely wrong labels, copies, outliers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from imgcls.app.feature_command import read_command
from imgcls.app.next_steps import python_command
from imgcls.app.thumbnails import thumbnails
from imgcls.app.verification import read_splits
from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.deploy.continuation import FILE as SETTINGS
from imgcls.deploy.feature_file import FILE as FEATURES
from imgcls.deploy.feature_file import read_features
from imgcls.deploy.search_index import FACTS, SearchIndex, write_index
from imgcls.errors import UserError
from imgcls.functional import label_issues
from imgcls.functional.neighbours import (
    Neighbours,
    alike,
    apart,
    fastest_engine,
    groups,
    is_exact,
    nearest_others,
    unit,
)
from imgcls.machine.reading import read_json
from imgcls.machine.spreadsheet import write_spreadsheet
from imgcls.machine.text import shell_line
from imgcls.report.search_page import Copies, Shown, WrongLabel, build_page, write_page
from imgcls.run.logs import log

MISSING = 'Likely wrong labels are not looked for without the package cleanlab: pip install "imgcls[search]"'
NO_LABELS = "no labels: name the data set, as data.root=photos or data=sample, to find those that are likely wrong"


def build(config: DictConfig, directory: Path) -> None:
    """Write the index, the page and the tables of what ``search.source`` has the features of.

    Raises:
        UserError: it has none, or not those of the data set that is named.
    """
    settings, source = config.search, Path(config.search.source)
    if not (source / FEATURES).is_file():
        held = " It holds an index: name it to imgcls.search query." if (source / FACTS).is_file() else ""
        raise UserError(
            f"{source} holds no {FEATURES}.{held} Make one: python -m imgcls.predict predict.input=photos "
            "predict.output=features run.name=features, and name outputs/features."
        )
    index, splits = _index(config.data, source)
    write_index(index, directory)
    found = _find(index, settings, splits)
    _write_tables(directory, index, splits, found)
    write_page(directory / "search.html", _page(config, index, found))
    classes = len(index.class_names)
    log.info("%s pictures, %s", f"{len(index.paths):,}", f"{classes:,} classes" if classes else NO_LABELS)
    if found.issues is not None:
        log.info("likely wrong labels: %s", f"{len(found.issues):,}")
    elif classes:
        log.warning("%s", found.on_labels)
    log.info(
        "groups of copies: %s (%s of them in two classes or in both splits)",
        f"{len(found.groups):,}",
        f"{sum(map(bool, found.warnings)):,}",
    )
    log.info("outliers: %s", f"{len(found.outliers):,}")
    log.info("page: %s", directory / "search.html")
    command = [python_command(), "-m", "imgcls.search", "query", str(directory), "photo.jpg"]
    log.info("to search: %s", shell_line(command))


@dataclass(frozen=True)
class Found:
    """What wants a look.

    Args:
        engine: that found the neighbours.
        neighbours: of each picture.
        groups: of copies, their numbers.
        closest: the cosine of each copy to its nearest, float ``[N]``, -1 for other pictures.
        warnings: of each group.
        nearness: mean cosine of each picture to its neighbours, ``[N]``.
        outliers: numbers, the farthest first.
        issues: labels that are likely wrong; ``None`` where they were not looked for.
        on_labels: the sentence about them.
    """

    engine: str
    neighbours: Neighbours
    groups: list[list[int]]
    closest: np.ndarray
    warnings: list[list[str]]
    nearness: np.ndarray
    outliers: np.ndarray
    issues: list[label_issues.LabelIssue] | None
    on_labels: str


def _index(data: DictConfig, source: Path) -> tuple[SearchIndex, list[str | None]]:
    """Each picture once, with its label; and the split that it is in."""
    paths, features = read_features(source / FEATURES)
    command, asked_in = read_command(source)
    paths = [os.path.join(asked_in, path) for path in paths]
    first = sorted({place_of(path): number for number, path in reversed([*enumerate(paths)])}.values())
    if not np.isfinite(features).all() or len(first) < 2:
        raise UserError(f"{source / FEATURES} has not the features of two pictures or more. Predict again.")
    paths = [os.path.abspath(paths[number]) for number in first]
    labels, class_names, splits = _labels(data, paths)
    origin = read_json(source / SETTINGS)
    return SearchIndex(paths, unit(features[first]), labels, class_names, origin, command), splits


def _find(index: SearchIndex, settings: DictConfig, splits: Sequence[str | None]) -> Found:
    engine = settings.engine or fastest_engine()
    if not is_exact(len(index.paths), engine):
        log.info("%s pictures: neighbours are looked for where they are likely", f"{len(index.paths):,}")
    neighbours = nearest_others(index.features, settings.topk, engine)
    pairs = alike(neighbours, settings.duplicate)
    together = groups((one, two) for one, two, _ in pairs)
    closest = np.full(len(index.paths), -1.0)
    for one, two, cosine in pairs:
        closest[[one, two]] = np.maximum(closest[[one, two]], cosine)
    warnings = [_warnings(index, splits, group) for group in together]
    return Found(engine, neighbours, together, closest, warnings, *apart(neighbours, settings.outlier), *_issues(index))


def _page(config: DictConfig, index: SearchIndex, found: Found) -> str:
    settings, shown = config.search, config.search.shown
    facts = {
        "features": printable(settings.source),
        "network": str(index.origin.get("model", "an export")),
        "labels": f"{config.data.name}, {printable(config.data.root or 'bundled')}" if index.class_names else "none",
        "neighbours": found.engine,
    }
    tiles = {
        "pictures": len(index.paths),
        **({"classes": len(index.class_names)} if index.class_names else {}),
        **({} if found.issues is None else {"likely wrong labels": len(found.issues)}),
        "groups of copies": len(found.groups),
        "outliers": len(found.outliers),
    }
    wrong_labels = [
        WrongLabel(
            _shown(index, one.number),
            index.class_names[one.suggested],
            one.of_label,
            one.of_suggested,
            _shown(index, int(found.neighbours.numbers[one.number, 0])),
        )
        for one in (found.issues or ())[:shown]
    ]
    warned_first = sorted(zip(found.groups, found.warnings, strict=True), key=lambda pair: not pair[1])
    copies = [
        Copies([_shown(index, one, f"similarity {found.closest[one]:.3f}") for one in group[:shown]], warnings)
        for group, warnings in warned_first[:shown]
    ]
    outliers = [
        _shown(index, number, f"similarity {found.nearness[number]:.3f}") for number in found.outliers[:shown].tolist()
    ]
    of_copies = _first(len(found.groups), shown, "groups", "duplicates.csv")
    of_outliers = _first(len(found.outliers), shown, "pictures", "outliers.csv")
    count = found.neighbours.numbers.shape[1]
    notes = {
        "labels": found.on_labels,
        "copies": f"Cosines of {settings.duplicate:g} or more: saved again, resized, mirrored or cut. {of_copies}",
        "outliers": f"Farther from their {count} neighbours than usual, the farthest first. {of_outliers}",
    }
    title = f"{len(index.paths):,} pictures"
    return build_page(
        title,
        facts,
        {name: f"{value:,}" for name, value in tiles.items()},
        wrong_labels,
        copies,
        outliers,
        notes,
        thumbnails(config.data),
    )


def _labels(data: DictConfig, paths: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], list[str | None]]:
    """Of each picture its label in the data set (-1: none) and its split; and the names of the classes."""
    labels, splits = np.full(len(paths), -1, np.int64), [None] * len(paths)
    if data.root is None and data.format != "sample":
        return labels, (), splits
    known = read_splits(data)
    places = {place_of(path): number for number, path in enumerate(paths)}
    missing = 0
    for split, samples in known.samples.items():
        for number in range(len(samples)):
            place = places.get(place_of(samples.path(number)))
            if place is None:
                missing += 1
            else:
                labels[place], splits[place] = samples.label(number), split
    matched = int((labels >= 0).sum())
    if not matched:
        first: Samples = next(iter(known.samples.values()))
        raise UserError(
            f"None of the {len(paths):,} pictures, such as {printable(paths[0])}, is in data={data.name}"
            + (f", such as {printable(first.path(0))}. " if len(first) else ". ")
            + "Name the data set that was predicted, as data=folder data.root=photos."
        )
    if matched < len(paths) or missing:
        log.info(
            "%s pictures have no label in data=%s, and %s pictures of it have no features",
            f"{len(paths) - matched:,}",
            data.name,
            f"{missing:,}",
        )
    return labels, next(iter(known.samples.values())).class_names, splits


def place_of(path: str) -> tuple[str, str]:
    """The same for every path that leads to a file through its directories' links."""
    folder, name = os.path.split(os.path.abspath(path))
    return _real(folder), name


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _issues(index: SearchIndex) -> tuple[list[label_issues.LabelIssue] | None, str]:
    """Likely wrong labels, and the sentence about them; ``None`` where they were not looked for."""
    if not index.class_names:
        return None, f"Not looked for: {NO_LABELS}."
    if not label_issues.is_available():
        return None, MISSING
    if label_issues.is_too_much(index.labels, index.features.shape[1]):
        return None, "Likely wrong labels are not looked for: that would take hours for so many pictures and classes."
    judged = len(label_issues.judged(index.labels))
    found = label_issues.label_issues(index.features, index.labels)
    rest = (
        "; the likeliest first. Look at each before you change it: labels.csv has all."
        if found
        else ". There are none."
    )
    return found, (
        f"By classifiers of the features that had not seen the picture (confident learning), among {judged:,} pictures "
        f"of classes with two or more{rest}"
    )


def _warnings(index: SearchIndex, splits: Sequence[str | None], group: Sequence[int]) -> list[str]:
    names = sorted({name for number in group if (name := index.name_of(number)) is not None})
    parts = {splits[number] for number in group} - {None}
    found = [f"in {len(names)} classes: {', '.join(names[:5])}"] * (len(names) > 1)
    return [*found, *(["in training and in validation"] if len(parts) > 1 else [])]


def _write_tables(directory: Path, index: SearchIndex, splits: Sequence[str | None], found: Found) -> None:
    def about(number: int) -> list[str | None]:
        return [index.paths[number], index.name_of(number), splits[number]]

    write_spreadsheet(
        directory / "duplicates.csv",
        ["group", "path", "class", "split", "similarity"],
        (
            [place, *about(one), round(float(found.closest[one]), 4)]
            for place, group in enumerate(found.groups, 1)
            for one in group
        ),
    )
    write_spreadsheet(
        directory / "outliers.csv",
        ["path", "class", "split", "similarity"],
        ([*about(number), round(float(found.nearness[number]), 4)] for number in found.outliers.tolist()),
    )
    write_spreadsheet(
        directory / "labels.csv",
        ["path", "class", "split", "suggested", "probability", "probability_of_suggested"],
        (
            [*about(one.number), index.class_names[one.suggested], round(one.of_label, 4), round(one.of_suggested, 4)]
            for one in found.issues or ()
        ),
    )


def _shown(index: SearchIndex, number: int, note: str = "") -> Shown:
    return Shown(index.paths[number], index.name_of(number), note)


def _first(count: int, shown: int, what: str, table: str) -> str:
    if not count:
        return "There are none."
    return f"The first {shown} of {count:,} {what}; {table} has all." if count > shown else f"{table} has them, too."
