"""``python -m imgcls.benchmark``: speed, side by side in one run."""

import sys
from collections.abc import Callable, Iterator

from omegaconf import DictConfig, OmegaConf

from imgcls.app.program import entry_point
from imgcls.machine.installation import gpu_count, require_paddle
from imgcls.run.logs import log, start_log, system_line


@entry_point("benchmark")
def main(config: DictConfig) -> None:
    require_paddle()
    from rich.console import Console

    from imgcls.app.resume import config_hash
    from imgcls.machine.device import select_device

    settings, model = config.benchmark, config.model
    start_log()
    select_device(None)
    log.info(system_line(config_hash(config)))
    if settings.what not in ("latency", "auto") and (settings.torch_python is None or settings.what != "train"):
        log.info("%s: %s, %d px, batch %d", settings.what, model.name, model.input_size, settings.batch_size)
    log.setLevel("WARNING")  # the measured runs have a log of their own to write
    of = {"loader": _loader, "train": _train, "inference": _inference, "latency": _latency, "auto": _auto}
    tables = of.get(settings.what, _figures)
    for table in tables(config):
        Console().print(table, soft_wrap=isinstance(table, str))


def _loader(config: DictConfig) -> Iterator:
    from imgcls.app.data import read_samples
    from imgcls.benchmarks.loader import measure_loader

    settings = config.benchmark
    has_files = config.data.format not in ("sample", "synthetic")
    return measure_loader(
        read_samples(config.data, "train", None) if has_files else None,
        size=config.model.input_size,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        steps=settings.steps,
        repeats=settings.repeats,
    )


def _train(config: DictConfig) -> Iterator:
    return _against(config) if config.benchmark.torch_python else _among_ourselves(config)


def _against(config: DictConfig) -> Iterator:
    from imgcls.benchmarks.against import measure_against

    settings = config.benchmark
    return measure_against(
        [(info.name, size) for info, size in _networks(settings)],
        torch_python=settings.torch_python,
        libraries=list(settings.peers),
        ways=list(settings.ways),
        processes=list(settings.processes),
        layouts=list(settings.torch_layouts),
        batch_sizes=list(settings.batch_sizes),
        rounds=settings.repeats,
        seconds=settings.turn_seconds,
    )


def _among_ourselves(config: DictConfig) -> Iterator:
    from imgcls.benchmarks.train import measure_train

    settings, model = config.benchmark, config.model
    return measure_train(
        f"{model.name}, {model.input_size} px, batch {settings.batch_size} per process",
        [sys.executable, "-m", "imgcls.app.benchmark_process"],
        OmegaConf.to_yaml(config),
        data=list(settings.data),
        precisions=list(settings.precisions),
        data_formats=list(settings.data_formats),
        compile=list(settings.compile),
        processes=list(settings.processes),
        gpus=gpu_count(),
        repeats=settings.repeats,
    )


def _inference(config: DictConfig) -> Iterator:
    from imgcls.benchmarks.inference import inference_table

    settings, model = config.benchmark, config.model
    return inference_table(
        model.name,
        size=model.input_size,
        batch_size=settings.batch_size,
        steps=settings.steps,
        warmup=settings.warmup,
        repeats=settings.repeats,
    )


def _latency(config: DictConfig) -> Iterator:
    from imgcls.benchmarks.side_by_side import side_by_side_table

    return _of_several(config.benchmark, side_by_side_table)


def _auto(config: DictConfig) -> Iterator:
    from imgcls.benchmarks.fastest_engine import fastest_engines

    return _of_several(config.benchmark, fastest_engines)


def _of_several(settings: DictConfig, measure: Callable[..., Iterator]) -> Iterator:
    return measure(
        _networks(settings),
        batch_size=settings.batch_size,
        steps=settings.steps,
        warmup=settings.warmup,
        repeats=settings.repeats,
    )


def _networks(settings: DictConfig) -> list:
    """What is known of each of ``benchmark.networks``, and the side of its images."""
    from imgcls.models.registry import model_info, named

    infos = [model_info(name) for name in named(settings.networks)]
    return [(info, settings.image_size or info.input_size) for info in infos]


def _figures(config: DictConfig) -> Iterator:
    from rich.table import Table

    from imgcls.benchmarks.model import measure_model
    from imgcls.benchmarks.predict import measure_predict
    from imgcls.benchmarks.trainer import measure_trainer

    settings, model = config.benchmark, config.model
    measure = {
        "trainer": measure_trainer,
        "model": measure_model,
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
    yield table


if __name__ == "__main__":
    main()
