"""``python -m imgcls.benchmark``: speed, side by side in one run."""

from omegaconf import DictConfig

from imgcls.config import entry_point
from imgcls.installation import require_paddle
from imgcls.logs import log, start_log, system_line


@entry_point("benchmark")
def main(config: DictConfig) -> None:
    require_paddle()
    from rich.console import Console
    from rich.table import Table

    from imgcls import assembly
    from imgcls.benchmarks.inference import measure_inference
    from imgcls.benchmarks.loader import measure_loader
    from imgcls.benchmarks.model import measure_model
    from imgcls.benchmarks.predict import measure_predict
    from imgcls.benchmarks.trainer import measure_trainer
    from imgcls.device import select_device
    from imgcls.resume import config_hash

    settings, model = config.benchmark, config.model
    start_log()
    select_device(None)
    log.info(system_line(config_hash(config)))
    log.info("%s: %s, %d px, batch %d", settings.what, model.name, model.input_size, settings.batch_size)
    log.setLevel("WARNING")  # the measured runs have a log of their own to write
    if settings.what == "loader":
        has_files = config.data.format not in ("sample", "synthetic")
        tables = measure_loader(
            assembly.read_samples(config.data, "train", None) if has_files else None,
            size=model.input_size,
            batch_size=settings.batch_size,
            num_workers=settings.num_workers,
            steps=settings.steps,
            repeats=settings.repeats,
        )
        for table in tables:
            Console().print(table)
        return
    measure = {
        "trainer": measure_trainer,
        "model": measure_model,
        "inference": measure_inference,
        "predict": measure_predict,
    }[settings.what]
    figures = measure(
        model.name,
        size=model.input_size,
        batch_size=settings.batch_size,
        steps=settings.steps,
        warmup=settings.warmup,
        repeats=settings.repeats,
    )
    table = Table(
        "figure", "value", title=f"{settings.what}: {model.name}, {model.input_size} px, batch {settings.batch_size}"
    )
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:,.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
