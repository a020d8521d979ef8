"""``python -m imgcls.predict``: what is in these pictures."""

from pathlib import Path

from omegaconf import DictConfig, ListConfig

from imgcls.app.program import entry_point
from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle
from imgcls.machine.progress import progress_bar
from imgcls.machine.signals import interruptible
from imgcls.run.logs import log, start_log

TOPK = 5
SHOWN_ERRORS = 10
FEW = 32
"""So many pictures are read sooner than processes start that share nothing with this one; a copy of it reads them."""


@entry_point("predict")
def main(config: DictConfig) -> None:
    from imgcls.app.pixels import also_images
    from imgcls.data.formats.image_files import LeftOut
    from imgcls.deploy.compatible import require_reader_of
    from imgcls.deploy.inputs import find_images

    settings = config.predict
    left_out = LeftOut(also=also_images(config.transform, settings.source))
    inputs = list(map(str, settings.input)) if isinstance(settings.input, ListConfig) else [str(settings.input)]
    pictures = find_images(inputs, left_out, "predict.input")
    if settings.source is not None:
        require_reader_of(settings.source, settings.engine)
    require_paddle()
    from imgcls.app.feature_command import write_command
    from imgcls.app.prediction import open_source
    from imgcls.app.program import output_directory
    from imgcls.data.paths import bullet_list
    from imgcls.deploy.continuation import agree, remaining
    from imgcls.deploy.feature_file import FeatureFile
    from imgcls.deploy.line_file import LineFile
    from imgcls.deploy.predictor import require_numbers
    from imgcls.deploy.reader import ImageReader, read_batches
    from imgcls.deploy.results import ClassFile
    from imgcls.deploy.sorting import Folders
    from imgcls.deploy.views import SeveralViews, views_of
    from imgcls.machine.device import select_device

    start_log()
    select_device(None)
    if left_out:
        log.info("%s", left_out.line())
    source = open_source(config, len(pictures))
    topk = settings.topk or min(TOPK, len(source.class_names))
    if topk > len(source.class_names) and settings.output == "classes":
        raise UserError(f"predict.topk={topk}: there are only {len(source.class_names)} classes.")

    thresholds, threshold = source.thresholds, settings.threshold
    if thresholds is not None and settings.output == "classes":
        if settings.sort_to is not None:
            raise UserError("predict.sort_to is for models of one class a picture; this one's may have several.")
        if threshold is not None:
            thresholds, threshold = (threshold,) * len(source.class_names), None

    directory = output_directory()
    folders = None
    if settings.sort_to is not None:
        folders = Folders(Path(settings.sort_to), source.class_names, link=settings.sort_by == "link")
        folders.prepare(inputs, pictures)
    wanted = {"output": settings.output, "topk": topk, "threshold": settings.threshold}
    predictor = source.predictor
    if settings.tta is not None:
        wanted["tta"], predictor = settings.tta, SeveralViews(predictor, settings.tta)
    resume = agree(directory, {**source.origin, **wanted}, settings.resume)
    if settings.output == "features":
        write_command(config, directory)
        answers, answer = FeatureFile(directory, resume), predictor.features
    else:
        answers = ClassFile(directory, source.class_names, topk, threshold, resume, thresholds)
        answer = predictor.probabilities
    left = remaining(pictures, answers.paths()) if resume else pictures
    if resume:
        log.info("%s of %s pictures were done before", f"{len(pictures) - len(left):,}", f"{len(pictures):,}")

    unreadable: list[str] = []
    bad = LineFile(directory / "unreadable.jsonl")

    def report(path: str, error: UserError) -> None:
        log.warning("%s", error)
        bad.write({"path": path, "error": str(error)})
        unreadable.append(str(error))

    with_bar = progress_bar(left, desc="predicting", unit=" pictures")
    read = ImageReader(source.preprocessing.transform(**views_of(settings.tta)), config.data.max_pixels)
    num_workers, start = (settings.num_workers, "spawn") if len(left) > FEW else (min(1, settings.num_workers), "fork")
    shape = read.transform.image_shape
    kept = f"answers so far are in {answers.path}; go on with predict.resume=true run.name={directory.name}"
    limits = {
        "max_decode_seconds": config.data.max_decode_seconds,
        "start": start,
        "dtype": read.transform.channels.dtype,
    }
    with interruptible(kept):
        for paths, images in read_batches(with_bar, read, shape, settings.batch_size, num_workers, report, **limits):
            answers.add(paths, require_numbers(answer(images), paths))
    count = answers.close()
    log.info("%s of %s pictures: %s", f"{count:,}", f"{len(pictures):,}", answers.path)
    if threshold is not None:
        unknown = sum(number is None for _, number in answers.answers())
        log.info("unknown, below predict.threshold=%s: %s of %s", settings.threshold, f"{unknown:,}", f"{count:,}")
    if settings.format == "csv":
        log.info("for a spreadsheet: %s", answers.write_sheet())
    if folders is not None:
        folders.sort(answers.answers(), report)
        log.info("sorted into %s", folders.root)
    if unreadable:
        raise UserError(
            f"{len(unreadable):,} of {len(pictures):,} pictures could not be read ({bad.path}):\n"
            f"{bullet_list(unreadable[:SHOWN_ERRORS], len(unreadable))}"
        )
    bad.close()
    bad.path.unlink()


if __name__ == "__main__":
    main()
