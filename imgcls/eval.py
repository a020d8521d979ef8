"""``python -m imgcls.eval``: how good a run, a checkpoint or a weights file is."""

from contextlib import ExitStack
from functools import partial

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.machine.files import atomic_write
from imgcls.machine.installation import require_paddle
from imgcls.machine.progress import WithBar
from imgcls.run.logs import log, start_log

MISTAKES = 24
"""So many of the most confident ones are on the page."""


@entry_point("eval")
def main(config: DictConfig) -> float:
    """Returns the top-1 accuracy, else the loss; the mean average precision of pictures with several classes each."""
    require_paddle()
    from imgcls.app.data import make_loader
    from imgcls.app.engine_evaluation import AsNetwork, averaged, is_exported, load_export
    from imgcls.app.evaluation import evaluation_samples, labelled_samples
    from imgcls.app.loggers import attach_report
    from imgcls.app.neighbours import nearest_neighbours, open_features
    from imgcls.app.program import given_keys
    from imgcls.app.source import build_network, load_source
    from imgcls.app.tag_evaluation import evaluate_tags
    from imgcls.deploy.views import views_of
    from imgcls.engine.trainer import Trainer
    from imgcls.machine.device import select_device
    from imgcls.report.answers import DetailedMeter
    from imgcls.report.confusion_drawing import draw_confusion_matrix
    from imgcls.report.content import page_content
    from imgcls.report.curves import read_curves
    from imgcls.report.mistakes import explained_mistakes, surest_mistakes
    from imgcls.report.page import page
    from imgcls.report.reliability import reliability
    from imgcls.report.tables import summarise, write_tables

    start_log()
    select_device(None)
    settings = config.eval
    exported = not settings.knn and is_exported(settings)
    if settings.knn:
        source, network = open_features(config)
    elif exported:
        source, network = load_export(config, settings.source, settings.engine)
    else:
        source = load_source(config, settings.source, settings.weights)
    sections, seen = source.config, source.preprocessing()
    directory = output_directory()

    if settings.knn:
        train, samples = labelled_samples(source, given_keys())
    else:
        samples = evaluation_samples(source, settings.split, given_keys())
        network = network if exported else build_network(sections.model, samples.num_classes, require_all=True)
    load = partial(
        make_loader,
        data=sections.data,
        size=sections.transform.size,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        directory=directory,
    )
    origin = {
        "model": sections.model.name,
        "source": str(settings.source or sections.model.pretrained),
        **({"checkpoint": source.checkpoint.name, "weights": source.weights} if source.checkpoint else {}),
        "data": sections.data.root or sections.data.name,
        "split": settings.split,
        **{key: settings[key] for key in ("knn", "tta") if settings[key]},
    }
    with ExitStack() as stack:
        answering = network
        if settings.knn:
            answering = stack.enter_context(nearest_neighbours(settings, source, network, train, load))
        elif settings.tta:
            answering = averaged(network, source, settings.tta)
        trainer = Trainer(answering, (lambda images: images) if isinstance(answering, AsNetwork) else seen.normalize)
        if source.multi_label:
            return evaluate_tags(settings, source, samples, trainer, load, origin, directory)
        meter = DetailedMeter(samples.num_classes, settings.topk)
        loader = load(samples, seen.transform(**views_of(settings.tta)))
        result = trainer.evaluate(WithBar(loader, desc="evaluating", unit=" batches", total=len(loader)), meter)
    if settings.knn:
        result.pop("loss")  # of votes, which are no probabilities

    answers = meter.answers()
    origin["left_out"] = len(samples) - meter.samples
    summary = summarise(origin, result, meter.confusion, answers)
    write_tables(directory, summary, meter.confusion, answers, samples)
    accuracies = ", ".join(f"{name} {value:.4f}" for name, value in result.items() if name != "loss")
    title = f"{settings.source or 'published weights'}: {origin['model']}, {accuracies} on {len(answers):,} pictures"
    draw_confusion_matrix(meter.confusion.counts, samples.class_names, directory / "confusion_matrix.png", title)
    log.info("%s on %d pictures", ", ".join(f"{name} {value:.4f}" for name, value in result.items()), meter.samples)
    if origin["left_out"]:
        log.warning("these are %d of %d pictures: the others cannot be read", meter.samples, len(samples))
    log.info("confusion matrix: %s", directory / "confusion_matrix.png")
    if settings.report:
        # Made-up pictures depend on their number in the whole set: a part of it would be other ones.
        shown = surest_mistakes(answers, limit=0 if sections.data.format == "synthetic" else MISTAKES)
        pictures = load(samples.subset(answers.indices[shown]), seen.transform()) if len(shown) else ()
        content = page_content(
            summary=summary,
            class_names=samples.class_names,
            confusion=meter.confusion,
            reliability=reliability(answers.scores, answers.right),
            panels=read_curves(source.checkpoint),
            mistakes=explained_mistakes(
                network, (images for images, *_ in pictures), seen.normalize, answers, shown, samples
            ),
        )
        document = page(f"{sections.model.name} on {len(answers):,} pictures", content)
        with atomic_write(directory / "report.html") as page_file:
            page_file.write_text(document, encoding="utf-8")
        log.info("page to look at: %s", directory / "report.html")
    if settings.attach:
        attach_report(source.checkpoint, [directory / name for name in ("confusion_matrix.png", "report.html")])
    log.info("report: %s", directory)
    return next(result[name] for name in ("top1", "loss", *result) if name in result)


if __name__ == "__main__":
    main()
