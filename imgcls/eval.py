"""``python -m imgcls.eval``: how good a run, a checkpoint or a weights file is."""

from omegaconf import DictConfig

from imgcls.config import entry_point
from imgcls.installation import require_paddle
from imgcls.logs import log, start_log


@entry_point("eval")
def main(config: DictConfig) -> float:
    """Returns the top-1 accuracy."""
    require_paddle()
    from imgcls import assembly
    from imgcls.device import select_device
    from imgcls.engine.trainer import Trainer
    from imgcls.reports import DetailedMeter, write_evaluation

    start_log()
    select_device(None)
    source = assembly.load_source(config, config.eval.source, config.eval.weights)
    settings, sections = config.eval, source.config

    num_classes = len(source.class_names) or sections.model.num_classes
    samples = assembly.read_samples(sections.data, settings.split, num_classes)
    assembly.require_same_classes(samples, source.class_names)
    network = assembly.build_network(sections.model, samples.num_classes, require_all=True)
    loader = assembly.make_loader(
        samples,
        assembly.picture_transform(sections.transform, sections.model, training=False),
        sections.data,
        size=sections.transform.size,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
    )
    trainer = Trainer(network, assembly.preprocessing(sections.transform))
    meter = DetailedMeter(samples.num_classes, settings.topk)
    result = trainer.evaluate(loader, meter)

    directory = assembly.output_directory()
    write_evaluation(directory, meter, result, samples, source=str(settings.source or sections.model.pretrained))
    log.info("%s on %d pictures", ", ".join(f"{name} {value:.4f}" for name, value in result.items()), len(samples))
    log.info("confusion matrix: %s", directory / "confusion_matrix.png")
    log.info("report: %s", directory)
    return result["top1"] if "top1" in result else result["loss"]


if __name__ == "__main__":
    main()
