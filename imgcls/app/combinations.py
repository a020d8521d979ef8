"""Rules a configuration must meet beyond the types of its keys; checked before any data is read."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from imgcls.errors import UserError
from imgcls.functional.schedules import SCHEDULES

INTERPOLATIONS = ("linear", "cubic", "nearest", "area", "lanczos")

MASTER = re.compile(r"[^\s:]+:\d+")

# (key, smallest, largest); None for no bound
RANGES = (
    ("model.num_classes", 1, None),
    ("model.input_size", 1, None),
    ("data.num_classes", 1, None),
    ("data.train_size", 1, None),
    ("data.val_size", 1, None),
    ("data.max_pixels", 1, None),
    ("data.worker_timeout", 1, None),
    ("data.max_errors", 0, None),
    ("data.cache_mb", 1, None),
    ("transform.size", 1, None),
    ("transform.resize_size", 1, None),
    ("transform.rotation", 0, 180),
    ("transform.flip", 0, 1),
    ("transform.randaugment.num_layers", 0, None),
    ("transform.randaugment.magnitude", 0, 10),
    ("optimizer.lr", 0, None),
    ("optimizer.momentum", 0, 1),
    ("optimizer.weight_decay", 0, None),
    ("optimizer.head_lr_multiplier", 0, None),
    ("optimizer.grad_clip_norm", 0, None),
    ("optimizer.base_batch_size", 1, None),
    ("lr_schedule.warmup_epochs", 0, None),
    ("callbacks.random_erasing.probability", 0, 1),
    ("callbacks.cutmix.alpha", 0, None),
    ("callbacks.cutmix.switch_prob", 0, 1),
    ("callbacks.cutmix.stop_epoch", 1, None),
    ("callbacks.mixup.alpha", 0, None),
    ("callbacks.mixup.stop_epoch", 1, None),
    ("callbacks.label_smoothing.epsilon", 0, 1),
    ("callbacks.ema.decay", 0, 1),
    ("trainer.epochs", 1, None),
    ("trainer.batch_size", 1, None),
    ("trainer.eval_batch_size", 1, None),
    ("trainer.num_workers", 0, None),
    ("trainer.gpus", 0, None),
    ("trainer.processes", 1, None),
    ("trainer.nodes", 1, None),
    ("trainer.node_rank", 0, None),
    ("trainer.max_restarts", 0, None),
    ("trainer.accumulate", 1, None),
    ("trainer.max_steps", 1, None),
    ("trainer.eval_every", 1, None),
    ("trainer.save_every", 1, None),
    ("trainer.save_every_steps", 0, None),
    ("trainer.keep_checkpoints", 1, None),
    ("trainer.log_every", 1, None),
    ("trainer.seed", 0, None),
    ("trainer.same_batch", 1, None),
    ("trainer.profiler.start", 0, None),
    ("trainer.profiler.steps", 1, None),
    ("trainer.amp.scale_loss", 1, None),
    ("trainer.amp.min_scale", 0, None),
    ("trainer.amp.max_skipped", 1, None),
    ("eval.batch_size", 1, None),
    ("eval.num_workers", 0, None),
    ("verify.min_size", 0, None),
    ("verify.num_workers", 0, None),
    ("predict.topk", 1, None),
    ("predict.batch_size", 1, None),
    ("predict.num_workers", 0, None),
    ("predict.threads", 1, None),
    ("predict.gpu_id", 0, None),
    ("predict.gpu_mem", 1, None),
    ("preview.epoch", 1, None),
    ("preview.count", 1, None),
    ("benchmark.batch_size", 1, None),
    ("benchmark.steps", 1, None),
    ("benchmark.warmup", 0, None),
    ("benchmark.repeats", 1, None),
    ("benchmark.num_workers", 0, None),
    ("benchmark.processes", 1, None),
)

NEVER_EMPTY = tuple(f"benchmark.{key}" for key in ("data", "precisions", "data_formats", "compile", "processes"))

BOUNDS = ("transform.scale", "transform.ratio", "callbacks.random_erasing.area", "callbacks.random_erasing.ratio")

CHOICES = (
    ("model.data_format", ("NCHW", "NHWC")),
    ("data.backend", ("pillow", "dali")),
    ("data.check_files", ("auto", "all", "sample", "none")),
    ("data.on_error", ("fail", "skip")),
    ("data.cache", ("ram",)),
    ("transform.interpolation", INTERPOLATIONS),
    ("lr_schedule.name", tuple(SCHEDULES)),
    ("callbacks.random_erasing.fill", ("noise", "mean")),
    ("trainer.amp.level", ("O0", "O1", "O2")),
    ("trainer.amp.dtype", ("float16", "bfloat16")),
    ("logger.name", ("csv", "tensorboard")),
    ("eval.split", ("train", "val")),
    ("eval.weights", ("network", "ema")),
    ("predict.output", ("classes", "features")),
    ("predict.engine", ("eager", "jit", "inference", "onnxruntime")),
    ("predict.tensorrt", ("fp32", "fp16", "int8")),
    ("predict.weights", ("network", "ema")),
    ("export.input", ("float", "uint8")),
    ("export.output", ("logits", "probabilities", "features")),
    ("export.format", ("paddle", "onnx")),
    ("export.weights", ("network", "ema")),
    ("convert.weights", ("parameters", "averaged")),
    ("preview.split", ("train", "val")),
    ("benchmark.what", ("train", "trainer", "model", "inference", "predict", "loader")),
    ("benchmark.data", ("synthetic", "real")),
    ("benchmark.precisions", ("float32", "O1", "O2")),
    ("benchmark.amp_dtype", ("float16", "bfloat16")),
    ("benchmark.data_formats", ("NCHW", "NHWC")),
)

NEVER_WITH_DALI = {"data.on_error": "skip", "data.cache": "ram", "transform.interpolation": "area"}

AUGMENTATION_WITHOUT_DALI = (
    "transform.rotation",
    "transform.color_jitter",
    "transform.autoaugment",
    "transform.randaugment.num_layers",
)


def check(config: DictConfig, program: str) -> None:
    """Raise one ``UserError`` that lists everything that is wrong with a typed configuration."""
    problems = [*_ranges(config), *_choices(config), *_combinations(config)]
    if problems:
        raise UserError("\n       ".join(problems))


def _ranges(config: DictConfig) -> Iterator[str]:
    for key, smallest, largest in RANGES:
        bound = f"at least {smallest}" if largest is None else f"between {smallest} and {largest}"
        for value in _values(config, key):
            if value < smallest or (largest is not None and value > largest):
                yield f"{key}={value}: must be {bound}."


def _choices(config: DictConfig) -> Iterator[str]:
    for key, choices in CHOICES:
        for value in _values(config, key):
            if value not in choices:
                yield f"{key}={value}: must be one of {', '.join(choices)}."


def _combinations(config: DictConfig) -> Iterator[str]:
    for key in BOUNDS:
        bounds = _get(config, key)
        if bounds is not None and not (len(bounds) == 2 and 0 < bounds[0] <= bounds[1]):
            yield f"{key}={list(bounds)}: must be two positive numbers, the smaller first."
    for key in ("transform.mean", "transform.std"):
        values = _get(config, key)
        if values is not None and len(values) != 3:
            yield f"{key}={list(values)}: must be three numbers, for red, green and blue."
    jitter = _get(config, "transform.color_jitter")
    if jitter is not None and not (len(jitter) == 4 and min(jitter) >= 0 and jitter[3] <= 0.5):
        yield f"transform.color_jitter={list(jitter)}: must be four numbers from 0 up, the last at most 0.5."
    size, resize = _get(config, "transform.size"), _get(config, "transform.resize_size")
    if resize is not None and size > resize:
        yield f"transform.resize_size={resize} is smaller than transform.size={size}: the centre crop would not fit."
    for key in ("trainer.topk", "eval.topk"):
        topk = _get(config, key)
        if topk is not None and (not topk or min(topk) < 1):
            yield f"{key}={list(topk)}: must be a list of positive numbers."
    for key in NEVER_EMPTY:
        values = _get(config, key)
        if values is not None and not len(values):
            yield f"{key}=[]: must name at least one."
    yield from _augmentation(config)
    yield from _dali(config)
    yield from _classes(config)
    yield from _devices(config)
    yield from _logger(config)
    root, reads_files = _get(config, "data.root"), _get(config, "data.format") in ("folder", "list", "tar")
    if root is None and reads_files and "trainer" in config:
        yield f"data.root is required: data={config.data.name} needs data.root=<directory>."
    if root is not None and not Path(root).is_dir():
        yield f"data.root={root}: there is no such directory."


def _augmentation(config: DictConfig) -> Iterator[str]:
    autoaugment = _get(config, "transform.autoaugment")
    if autoaugment not in (None, False, "imagenet"):
        yield f"transform.autoaugment={autoaugment}: must be false or imagenet."
    elif autoaugment and _get(config, "transform.randaugment.num_layers"):
        yield "transform.autoaugment and transform.randaugment are alternatives; switch one of them off."
    area = _get(config, "callbacks.random_erasing.area")
    if area is not None and max(area) > 1:
        yield f"callbacks.random_erasing.area={list(area)}: must be shares of the image, at most 1."


def _dali(config: DictConfig) -> Iterator[str]:
    if _get(config, "data.backend") != "dali":
        return
    for key, value in NEVER_WITH_DALI.items():
        if _get(config, key) == value:
            yield f"{key}={value}: not with data.backend=dali; leave it out, or use pillow."
    values = {key: _get(config, key) for key in AUGMENTATION_WITHOUT_DALI if "trainer" in config}
    on = [key for key, value in values.items() if (any(value) if isinstance(value, ListConfig) else value)]
    if on:
        yield f"data.backend=dali crops, resizes and flips only: switch {', '.join(on)} off, or use pillow."


def _classes(config: DictConfig) -> Iterator[str]:
    classes = _get(config, "model.num_classes") or _get(config, "data.num_classes")
    if classes is None:
        return
    topk = _get(config, "predict.topk")
    if topk is not None and topk > classes:
        yield f"predict.topk={topk}: there are only {classes} classes."


def _devices(config: DictConfig) -> Iterator[str]:
    batch = _get(config, "trainer.batch_size")
    if batch is None:
        return
    gpus, processes = _get(config, "trainer.gpus"), _get(config, "trainer.processes")
    if gpus and processes > 1:
        yield "trainer.processes is for the CPU; with trainer.gpus each GPU gets one process."
    nodes, node, master = (config.trainer[key] for key in ("nodes", "node_rank", "master"))
    if node >= nodes:
        yield f"trainer.node_rank={node}: there are {nodes} machines (trainer.nodes), numbered from 0."
    if nodes > 1 and not (master and MASTER.fullmatch(master)):
        yield f"trainer.master={master}: with trainer.nodes={nodes} it must be host:port of machine 0."
    ranks = max(gpus or 0, processes) * nodes
    if batch % ranks:
        yield f"trainer.batch_size={batch} is shared by {ranks} devices: it must be a multiple of {ranks}."
    elif batch < ranks * config.trainer.accumulate:
        yield f"trainer.accumulate={config.trainer.accumulate}: a batch of {batch} cannot be split so often."
    if config.trainer.compile and config.trainer.sync_bn and processes > 1:
        yield "trainer.compile=true: synchronised batch norms can be compiled on GPUs only; set trainer.sync_bn=false."
    same = _get(config, "trainer.same_batch")
    if same is not None and ranks > 1:
        yield f"trainer.same_batch={same} is for one process; {ranks} share the batch."
    elif same is not None and same > batch:
        yield f"trainer.same_batch={same}: must be at most trainer.batch_size={batch}."


def _logger(config: DictConfig) -> Iterator[str]:
    if _get(config, "logger.name") == "tensorboard" and find_spec("tensorboardX") is None:
        yield 'logger=tensorboard needs the package tensorboardX: pip install "imgcls[tensorboard]"'


def _values(config: DictConfig, key: str) -> list:
    """What a key holds: one value, those of a list, or none."""
    value = _get(config, key)
    if value is None:
        return []
    return list(value) if isinstance(value, ListConfig) else [value]


def _get(config: DictConfig, key: str):
    """A value by dotted key, ``None`` where this program or choice has no such key."""
    for part in key.split("."):
        if not isinstance(config, DictConfig) or part not in config:
            return None
        config = config[part]
    return config
