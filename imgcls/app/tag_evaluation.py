"""``imgcls.eval`` of a model whose pictures have any number of classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imgcls.app.loggers import attach_report
from imgcls.app.source import Source
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.loader import Loader
from imgcls.data.paths import printable
from imgcls.data.pictures.transforms import Transform
from imgcls.deploy.views import views_of
from imgcls.engine.meters import TagMeter
from imgcls.engine.trainer import Trainer
from imgcls.machine.files import atomic_write
from imgcls.machine.progress import WithBar
from imgcls.report.overlay import jpeg
from imgcls.report.tag_page import surest_wrong_tags, tag_page
from imgcls.report.tag_tables import summarise_tags, write_tag_tables
from imgcls.run.logs import log


def evaluate_tags(
    settings: DictConfig,
    source: Source,
    samples: Samples,
    trainer: Trainer,
    load: Callable[[Samples, Transform], Loader],
    origin: dict[str, Any],
    directory: Path,
) -> float:
    """Write tables, and the page if it is wanted; returns the mean average precision.

    Classes are taken from the thresholds of the checkpoint on, or from 0.5; with ``eval.tune`` these are tuned
    on the pictures that are evaluated.
    """
    thresholds = None if settings.tune else source.thresholds or [0.5] * samples.num_classes
    meter = TagMeter(len(samples), samples.class_names, thresholds=thresholds)
    plain = source.preprocessing().transform()
    loader = load(samples, source.preprocessing().transform(**views_of(settings.tta)))
    result = trainer.evaluate(WithBar(loader, desc="evaluating", unit=" batches", total=len(loader)), meter)
    origin = {**origin, "left_out": len(samples) - meter.samples}
    told = "tuned on these pictures" if settings.tune else "of the checkpoint" if source.thresholds else "0.5"
    summary = summarise_tags({**origin, "thresholds": told}, meter)
    write_tag_tables(directory, summary, meter, samples)
    figures = ("loss", "mAP", "macro_f1", "micro_f1")
    log.info("%s on %d pictures", ", ".join(f"{name} {summary[name] or 0:.4f}" for name in figures), meter.samples)
    log.info("thresholds: %s", told)
    if origin["left_out"]:
        log.warning("these are %d of %d pictures: the others cannot be read", meter.samples, len(samples))
    if settings.report:
        wrong = surest_wrong_tags(meter)
        indices = meter.indices[[mistake.position for mistake in wrong]] if wrong else []
        images = (
            image for batch, *_ in (load(samples.subset(indices), plain) if wrong else ()) for image in batch.numpy()
        )
        pictures = (
            (mistake, printable(samples.path(int(index))), jpeg(image))
            for mistake, index, image in zip(wrong, indices, images, strict=True)
        )
        curves = source.checkpoint and source.checkpoint.parent.parent / "curves.png"
        title = f"{origin['model']} on {meter.samples:,} pictures"
        document = tag_page(title, summary, meter, list(pictures), curves if curves and curves.is_file() else None)
        with atomic_write(directory / "report.html") as partial:
            partial.write_text(document, encoding="utf-8")
        log.info("page to look at: %s", directory / "report.html")
    if settings.attach:
        attach_report(source.checkpoint, [directory / "report.html"])
    log.info("report: %s", directory)
    return result["mAP"]
