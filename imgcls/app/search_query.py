"""The pictures of an index that are most like others."""

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from imgcls.app.feature_command import require_harmless
from imgcls.app.feature_network import feature_network
from imgcls.app.search_build import place_of
from imgcls.app.thumbnails import thumbnails
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.paths import bullet_list, printable
from imgcls.deploy.inputs import find_images
from imgcls.deploy.line_file import LineFile
from imgcls.deploy.search_index import FACTS, SearchIndex, read_index
from imgcls.errors import UserError
from imgcls.functional import neighbours
from imgcls.report.search_page import Shown, query_page, write_page
from imgcls.run.logs import log

MANY = 20
"""Rows of the page, and of what is said; the file has all."""


def query(config: DictConfig, directory: Path) -> None:
    """Write which pictures of an index are most like those of ``search.input``, and a page of them.

    Raises:
        UserError: there is no index, its network is another one by now, or a picture cannot be read.
    """
    settings, source = config.search, Path(config.search.source)
    index = read_index(source)
    require_harmless(index.command, source / FACTS)
    left_out = LeftOut()
    inputs = [settings.input] if isinstance(settings.input, str) else [*map(str, settings.input)]
    pictures = find_images(inputs, left_out, "search.input")
    if left_out:
        log.info("%s", left_out.line())
    engine = settings.engine or neighbours.fastest_engine()
    unreadable: list[str] = []

    def report(path: str, error: UserError) -> None:
        log.warning("%s", error)
        unreadable.append(str(error))

    with feature_network(index.command, index.origin, config, len(pictures), directory) as features:
        asked, rows = features(pictures, report)
        directory.mkdir(parents=True, exist_ok=True)
        if asked:
            if rows.shape[1] != index.features.shape[1]:
                raise UserError(
                    f"{source} holds {index.features.shape[1]} features a picture, these are {rows.shape[1]}."
                )
            found = neighbours.nearest(neighbours.unit(rows), index.features, settings.topk + 1, engine)
            _tell_similar(index, asked, found, settings.topk, directory, thumbnails(config.data), source)
    if unreadable:
        raise UserError(
            f"{len(unreadable):,} of {len(pictures):,} pictures could not be read:\n"
            f"{bullet_list(unreadable[:10], len(unreadable))}"
        )


def _tell_similar(
    index: SearchIndex,
    asked: Sequence[str],
    found: neighbours.Neighbours,
    topk: int,
    directory: Path,
    thumbnail: Callable[[str], bytes | None],
    source: Path,
) -> None:
    lines = LineFile(directory / "similar.jsonl")
    pages: list[list[Shown]] = []
    for path, cosines, numbers in zip(asked, found.similarities.tolist(), found.numbers.tolist(), strict=True):
        similar = [
            {"path": index.paths[number], "class": index.name_of(number), "similarity": round(cosine, 6)}
            for cosine, number in zip(cosines, numbers, strict=True)
            if number >= 0 and place_of(index.paths[number]) != place_of(path)
        ][:topk]
        lines.write({"path": path, "similar": similar})
        if len(pages) < MANY:
            pages.append(
                [
                    Shown(path, asked=True),
                    *(Shown(one["path"], one["class"], f"similarity {one['similarity']:.3f}") for one in similar),
                ]
            )
            log.info("%s", printable(path))
            for one in similar:
                log.info(
                    "  %.3f  %s%s",
                    one["similarity"],
                    f"{one['class']}  " if one["class"] else "",
                    printable(one["path"]),
                )
    lines.close()
    facts = {"index": printable(source), "network": str(index.origin.get("model", "an export"))}
    if len(asked) > MANY:
        facts["shown"] = f"the first {MANY} of {len(asked):,}; similar.jsonl has all"
    title = f"Like {printable(asked[0])}" if len(asked) == 1 else f"Like {len(asked):,} pictures"
    write_page(directory / "similar.html", query_page(title, facts, pages, thumbnail))
    log.info("page: %s", directory / "similar.html")
