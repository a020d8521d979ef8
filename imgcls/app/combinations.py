"""Whether a typed configuration can be run: each key by its row, and what several keys must be together."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from imgcls.app import channels
from imgcls.app.keys import SCHEMAS, SOFTMAX_LOSSES, TAG_LOSSES
from imgcls.app.loggers import missing
from imgcls.app.monitors import monitor_problems
from imgcls.app.rows import problems, rows
from imgcls.data.choices import COLUMNED, FILES, MULTI_LABEL, REMOTE, SHARED
from imgcls.errors import UserError, close_matches, listed
from imgcls.machine import hadoop
from imgcls.machine.store import SCHEMES, scheme_of, waits
from imgcls.models.registry import list_models, named
from imgcls.weights.choices import OURS, PEERS

MASTER = re.compile(r"[^\s:]+:\d+")

NEVER_WITH_DALI = {
    "data.on_error": "skip",
    "data.cache": "ram",
    "transform.interpolation": "area",
    "transform.resampling": "opencv",
    "transform.fit": "letterbox",
    "eval.tta": ("five", "whole"),
}

INT8_PACKAGES = {"openvino": ("openvino", "nncf"), "onnx": ("onnx", "onnxruntime")}
"""What makes int8 layers, for each format of an export that can have them."""

MIXING = ("random_erasing", "cutmix", "mixup")
"""Callbacks that change the pictures of a batch."""

AUGMENTATION_WITHOUT_DALI = (
    "transform.rotation",
    "transform.color_jitter",
    "transform.autoaugment",
    "transform.randaugment.num_layers",
    "transform.extra",
)


def check(config: DictConfig, program: str, own_metrics: bool = False) -> None:
    """Raise one ``UserError`` that lists everything that is wrong with a typed configuration.

    Args:
        own_metrics: callbacks that the configuration does not name may add metrics of their own.
    """
    found = [*dict.fromkeys((*_keys(config, program), *_combinations(config, own_metrics)))]
    if found:
        raise UserError(listed(found, separator="\n       "))


def _keys(config: DictConfig, program: str) -> Iterator[str]:
    for key, row in rows(SCHEMAS[program]).items():
        value = _get(config, key)
        if row.path and value == "":
            yield f"{key} is empty: name a path, or leave it out."
        else:
            yield from problems(key, value, row.rules)


def _combinations(config: DictConfig, own_metrics: bool) -> Iterator[str]:
    yield from _shape(config)
    if _get(config, "transform.autoaugment") and _get(config, "transform.randaugment.num_layers"):
        yield "transform.autoaugment and transform.randaugment are alternatives; switch one of them off."
    said = _get(config, "model.pretrained_from")
    if said is not None and said.partition("/")[0] not in (OURS, *PEERS):
        yield f"model.pretrained_from={said}: there is no such library. Known are {', '.join((OURS, *PEERS))}."
    yield from _dali(config)
    if _get(config, "transform.resampling") == "opencv" and find_spec("cv2") is None:
        yield 'transform.resampling=opencv needs the package opencv-python-headless: pip install "imgcls[opencv]"'
    yield from _validation(config)
    yield from channels.problems(config)
    yield from _classes(config)
    yield from _devices(config)
    yield from _probe(config)
    yield from _lr_find(config)
    yield from _logger(config)
    yield from _answers(config)
    yield from _neighbours(config)
    yield from _quantized(config)
    yield from _search(config)
    yield from _measured(config)
    if "trainer" in config and not own_metrics and "lr_find" not in config and "preview" not in config:
        yield from monitor_problems(config, _get(config, "model.num_classes") or _get(config, "data.num_classes"))
    warmup, epochs = _get(config, "lr_schedule.warmup_epochs"), _get(config, "trainer.epochs")
    if warmup and epochs is not None and warmup >= epochs:
        yield f"lr_schedule.warmup_epochs={warmup:g}: must be less than trainer.epochs={epochs}."
    yield from _balance(config)
    yield from _waits(config)
    yield from _several_classes(config)
    yield from _distillation(config)
    if _get(config, "loss.name") == "own" and _get(config, "callbacks.label_smoothing.enabled"):
        yield "callbacks.label_smoothing is for loss=cross_entropy: smooth in your own loss, and switch it off."
    if _get(config, "data.format") == "own" and _get(config, "data.cache"):
        yield "data.cache is for files: hold the images of your own data set in itself, and leave it out."
    yield from _files(config)


def _files(config: DictConfig) -> Iterator[str]:
    """Whether there is what the pictures are read from, and what reads them."""
    root, format = _get(config, "data.root"), _get(config, "data.format")
    if root is None and format in FILES and "trainer" in config:
        what = "<name>.zip" if format == "zip" else "<directory>"
        yield f"data.root is required: data={config.data.name} needs data.root={what}."
    if scheme_of(root):
        yield from _address(config, format)
    elif root is not None and format == "zip":
        if not Path(root).exists():
            yield f"data.root={root}: there is no such zip."
    elif root is not None and format != "synthetic" and not Path(root).is_dir():
        is_zip = format == "folder" and Path(root).suffix.lower() == ".zip" and Path(root).is_file()
        what = "that is a file, and a directory is wanted." if Path(root).exists() else "there is no such directory."
        yield f"data.root={root}: {'write data=zip.' if is_zip else what}"
    if format == "huggingface" and find_spec("pyarrow") is None:
        yield 'data=huggingface needs the package pyarrow: pip install "imgcls[huggingface]"'
    for key in ("image_column", "label_column", "split_column"):
        value = _get(config, f"data.{key}")
        if value is not None and format not in COLUMNED[key] and "trainer" in config:
            yield f"data.{key}={value} is for data={' and data='.join(COLUMNED[key])}; leave it out."


def _shape(config: DictConfig) -> Iterator[str]:
    """What the picture is cut to, and how."""
    size, resize = _get(config, "transform.size"), _get(config, "transform.resize_size")
    fit = _get(config, "transform.fit")
    short = min(size) if isinstance(size, ListConfig) and size else size
    if resize is not None and fit in ("letterbox", "stretch"):
        yield f"transform.resize_size={resize} is for transform.fit=crop: transform.fit={fit} shows the whole picture."
    elif resize is not None and isinstance(short, int) and short > resize:
        yield f"transform.resize_size={resize} is smaller than transform.size={size}: the centre crop would not fit."
    for program in ("eval", "predict"):
        if _get(config, f"{program}.tta") == "five" and fit != "crop":
            yield f"{program}.tta=five cuts corners off, and transform.fit={fit} shows the whole picture: take flip."
        if _get(config, f"{program}.tta") == "whole" and fit != "crop":
            yield f"{program}.tta=whole: transform.fit={fit} shows the whole picture already. Leave one out."


def _address(config: DictConfig, format: str) -> Iterator[str]:
    """What goes with a ``data.root`` that is an address."""
    data, root = config.data, config.data.root
    if scheme_of(root) not in SCHEMES:
        yield f"data.root={root}: data comes from {'://, '.join(SCHEMES)}:// or a directory."
    if format not in REMOTE:
        yield f"data.root={root}: at an address there can be data={', data='.join(REMOTE)}."
    hadoop.require_known(root)
    for package in ("fsspec", *hadoop.NEEDED.get(scheme_of(root), ())):
        if find_spec(package) is None:
            extra = "hadoop" if scheme_of(root) in hadoop.SCHEMES else "remote"
            yield f'data.root={root} needs the package {package.replace("_", "-")}: pip install "imgcls[{extra}]"'
    for key, value in {"check_files": ("all", "sample"), "multi_label": (True,), "backend": ("dali",)}.items():
        if data[key] in value:
            yield f"data.{key}={data[key]}: not with data.root={root}; leave it out."
    longest = (data.remote_retries + 1) * data.remote_timeout + sum(waits(data.remote_retries))
    if longest > data.worker_timeout:
        yield (
            f"data.remote_timeout={data.remote_timeout:g} and data.remote_retries={data.remote_retries} may take "
            f"{longest:.0f} s for one picture: data.worker_timeout={data.worker_timeout} must be more."
        )


def _dali(config: DictConfig) -> Iterator[str]:
    if _get(config, "data.backend") != "dali":
        return
    for key, value in NEVER_WITH_DALI.items():
        found = _get(config, key)
        if found == value or (isinstance(value, tuple) and found in value):
            yield f"{key}={found}: not with data.backend=dali; leave it out, or use pillow."
    values = {key: _get(config, key) for key in AUGMENTATION_WITHOUT_DALI if "trainer" in config}
    on = [key for key, value in values.items() if (any(value) if isinstance(value, ListConfig) else value)]
    if on:
        yield f"data.backend=dali crops, resizes and flips only: switch {', '.join(on)} off, or use pillow."


def _validation(config: DictConfig) -> Iterator[str]:
    yield from _folds(config)
    share, every = _get(config, "data.val_share"), _get(config, "trainer.eval_every")
    if share is None or "trainer" not in config:  # elsewhere the data may be a run's
        return
    if share and _get(config, "data.split_column") is not None:
        yield f"data.split_column={config.data.split_column} divides the table already: leave data.val_share out."
    elif config.data.format not in SHARED:
        yield f"data.val_share={share} is for data={', data='.join(SHARED)}, whose pictures it divides; leave it out."
    elif share == 0 and every:
        yield "data.val_share=0 leaves no pictures for validation: add trainer.eval_every=0, or take a share as 0.2."


def _folds(config: DictConfig) -> Iterator[str]:
    folds, fold = _get(config, "data.folds"), _get(config, "data.fold")
    if folds is None:
        if fold is not None:
            yield f"data.fold={fold}: add data.folds=<number>, of which it is one."
        return
    if fold is None and "verify" not in config:
        numbers = ",".join(map(str, range(folds))) if folds <= 10 else f"0,1,...,{folds - 1}"
        yield f"data.folds={folds}: add data.fold=0, or -m data.fold={numbers} for a run on each."
    elif fold is not None and fold >= folds:
        yield f"data.fold={fold}: must be less than data.folds={folds}; folds are numbered from 0."
    if config.data.format not in SHARED and "trainer" in config:
        yield f"data.folds={folds} is for data={', data='.join(SHARED)}; leave it out."
    if _get(config, "data.val_share") is not None:
        yield f"data.folds={folds} and data.val_share={config.data.val_share} both divide the pictures: leave one out."
    if _get(config, "trainer.eval_every") == 0:
        yield f"data.folds={folds} keeps a part for validation, and trainer.eval_every=0 evaluates nothing."


def _several_classes(config: DictConfig) -> Iterator[str]:
    """What goes with pictures that have any number of classes, and what with one class each."""
    several, loss = _get(config, "data.multi_label"), _get(config, "loss.name")
    if not several:
        if loss in TAG_LOSSES:
            yield f"loss={loss} is for pictures with any number of classes: add data.multi_label=true."
        return
    if "trainer" in config and config.data.format not in MULTI_LABEL:
        known = ", data=".join(MULTI_LABEL)
        yield f"data.multi_label=true is for data={known}, not for data={config.data.format}."
    if loss in SOFTMAX_LOSSES:
        yield f"data.multi_label=true: loss={loss} is for one class a picture. Add loss=bce or loss=asymmetric."
    if _get(config, "data.sampler") == "balanced" and "trainer" in config:
        yield "data.sampler=balanced is for one class a picture: not with data.multi_label=true."
    if _get(config, "data.backend") == "dali":
        yield "data.multi_label=true: not with data.backend=dali; use pillow."
    if "preview" in config:
        yield "imgcls.preview shows pictures of one class each: not with data.multi_label=true."


def _distillation(config: DictConfig) -> Iterator[str]:
    section = _get(config, "distill")
    if section is None or (section.teacher is None and section.photos is None):
        return
    if section.teacher is None:
        yield f"distill.photos={section.photos} has no labels: name a distill.teacher."
    elif not Path(section.teacher).exists() and section.teacher.lower() not in list_models():
        advice = close_matches(section.teacher, list_models())
        yield f"distill.teacher={section.teacher}: there is no such run, checkpoint or model.{advice}"
    if section.photos is not None and section.alpha < 1:
        yield f"distill.alpha={section.alpha:g}: photos without labels (distill.photos) need distill.alpha=1."
    if section.photos is not None and config.data.format not in MULTI_LABEL:
        yield f"distill.photos adds files to files: not with data={config.data.name}."
    if section.photos is not None and not Path(section.photos).is_dir():
        yield f"distill.photos={section.photos}: there is no such directory."
    if section.features and config.trainer.compile:
        value = str(config.trainer.compile).lower()
        yield f"distill.features looks into the network: not with trainer.compile={value}."
    if _get(config, "data.multi_label"):
        yield "distill.teacher is for one class a picture: not with data.multi_label=true."


def _waits(config: DictConfig) -> Iterator[str]:
    """What waits for a figure to become better needs evaluations."""
    if "trainer" not in config or "preview" in config or config.trainer.eval_every or "lr_find" in config:
        return
    if _get(config, "callbacks.early_stopping.enabled"):
        yield "callbacks.early_stopping waits for a better trainer.monitor, and trainer.eval_every=0 evaluates nothing."
    if _get(config, "callbacks.pruning.enabled"):
        yield "callbacks.pruning compares trainer.monitor, and trainer.eval_every=0 evaluates nothing."
    if _get(config, "lr_schedule.name") == "plateau":
        yield "lr_schedule=plateau waits for a better trainer.monitor, and trainer.eval_every=0 evaluates nothing."


def _balance(config: DictConfig) -> Iterator[str]:
    ways = {
        "data.sampler=balanced": "trainer" in config and _get(config, "data.sampler") == "balanced",
        f"loss.class_weights={_get(config, 'loss.class_weights')}": _get(config, "loss.class_weights") == "balanced",
        f"loss.logit_adjustment={_get(config, 'loss.logit_adjustment')}": _get(config, "loss.logit_adjustment"),
    }
    taken = [way for way, is_on in ways.items() if is_on]
    if len(taken) > 1:
        yield f"{' and '.join(taken)}: each makes up for unequal classes by itself, and together they do too much."


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
    gpus, processes = _get(config, "trainer.gpus"), _processes(config)
    if gpus and processes > 1:
        yield "trainer.processes is for the CPU; with trainer.gpus each GPU gets one process."
    nodes, node, master = (config.trainer[key] for key in ("nodes", "node_rank", "master"))
    if node >= nodes:
        yield f"trainer.node_rank={node}: there are {nodes} machines (trainer.nodes), numbered from 0."
    if nodes > 1 and not (master and MASTER.fullmatch(master)):
        yield f"trainer.master={master}: with trainer.nodes={nodes} it must be host:port of machine 0."
    if nodes > 1 and not gpus and isinstance(config.trainer.processes, str):
        yield f"trainer.processes=auto: with trainer.nodes={nodes} each machine would choose by itself; say a number."
    ranks = max(gpus or 0, processes, 1) * max(nodes, 1)
    if batch % ranks:
        kind = "GPUs" if gpus else "processes"
        yield f"trainer.batch_size={batch} is shared by {ranks} {kind}: it must be a multiple of {ranks}."
    elif batch < ranks * config.trainer.accumulate:
        yield f"trainer.accumulate={config.trainer.accumulate}: a batch of {batch} cannot be split so often."
    if config.trainer.compile not in (False, "auto") and config.trainer.sync_bn and processes > 1:
        way = str(config.trainer.compile).lower()
        yield f"trainer.compile={way}: synchronised batch norms are compiled on GPUs only; set trainer.sync_bn=false."
    if config.trainer.compile == "onednn":
        if gpus:
            yield "trainer.compile=onednn is for the CPU: set trainer.gpus=0."
        if config.model.data_format != "NCHW":
            yield f"trainer.compile=onednn gives wrong gradients with model.data_format={config.model.data_format}."
    same = _get(config, "trainer.same_batch")
    if same is not None and ranks > 1:
        yield f"trainer.same_batch={same} is for one process; {ranks} share the batch."
    elif same is not None and same > batch:
        yield f"trainer.same_batch={same}: must be at most trainer.batch_size={batch}."


def _probe(config: DictConfig) -> Iterator[str]:
    if not _get(config, "probe.enabled"):
        return
    if "lr_find" in config:
        yield "imgcls.lr_find tries rates for the whole network: leave out probe.enabled and recipes that set it."
        return
    for name in MIXING:
        if _get(config, f"callbacks.{name}.enabled"):
            yield (
                f"callbacks.{name} changes pictures, and the head is trained on features of them (probe.enabled): "
                "switch one of them off."
            )
    if config.trainer.nodes > 1:
        yield "probe.enabled keeps features in the run's directory, for one machine: set trainer.nodes=1."
    epochs, first = config.trainer.epochs, config.probe.epochs or config.trainer.epochs
    warmup = config.lr_schedule.warmup_epochs
    if first < epochs and config.lr_schedule.name == "plateau":
        yield f"lr_schedule=plateau cannot begin after probe.epochs={first}: take another schedule, as cosine."
    if first < epochs and warmup >= epochs - first:
        yield (
            f"lr_schedule.warmup_epochs={warmup:g}: must be less than the {epochs - first} epochs that follow "
            f"probe.epochs={first}."
        )


def _lr_find(config: DictConfig) -> Iterator[str]:
    start, end = _get(config, "lr_find.start_lr"), _get(config, "lr_find.end_lr")
    if start is None:
        return
    if start >= end:
        yield f"lr_find.end_lr={end:g}: must be more than lr_find.start_lr={start:g}."
    if (config.trainer.gpus or 0) > 1 or _processes(config) > 1 or config.trainer.nodes > 1:
        yield "imgcls.lr_find works in one process: leave out trainer.processes and trainer.nodes, and take one GPU."


def _logger(config: DictConfig) -> Iterator[str]:
    if lacking := missing(_get(config, "logger.name")):
        yield lacking
    if _get(config, "eval.attach") and not _get(config, "eval.report"):
        yield "eval.attach=true attaches the report: add eval.report=true."


def _answers(config: DictConfig) -> Iterator[str]:
    if _get(config, "predict.output") != "features":
        return
    for name, default in {"format": "jsonl", "threshold": None, "sort_to": None}.items():
        if (value := config.predict[name]) != default:
            yield f"predict.{name}={value} is for classes; predict.output=features has none. Leave one out."


def _neighbours(config: DictConfig) -> Iterator[str]:
    if not (count := _get(config, "eval.knn")):
        return
    if config.eval.split != "val":
        yield f"eval.knn={count} asks the training pictures, each of which would find itself: leave out eval.split."
    if config.eval.tta == "whole":
        yield f"eval.knn={count} compares pictures of one size: not with eval.tta=whole; take flip or five."
    if config.eval.report:
        yield f"eval.knn={count}: no last layer tells where it looked, as eval.report=true shows. Leave one out."
    if config.eval.tune or _get(config, "data.multi_label"):
        yield f"eval.knn={count} is for one class a picture."


def _quantized(config: DictConfig) -> Iterator[str]:
    if not _get(config, "export.quantize"):
        return
    settings = config.export
    if settings.format not in INT8_PACKAGES:
        yield f"export.quantize={settings.quantize} is for export.format={' and export.format='.join(INT8_PACKAGES)}."
    if settings.output == "features":
        yield f"export.quantize={settings.quantize} is measured by its answers, and features are none. Leave one out."
    for package in INT8_PACKAGES.get(settings.format, ()):
        if find_spec(package) is None:
            extra = "int8" if settings.format == "openvino" else "onnx"
            yield f'export.quantize={settings.quantize} needs the package {package}: pip install "imgcls[{extra}]"'


def _search(config: DictConfig) -> Iterator[str]:
    what = _get(config, "search.what")
    if what == "query" and config.search.input is None:
        yield "search.input is required: name the pictures whose like are looked for, as search.input=photo.jpg."
    if what == "build" and config.search.input is not None:
        yield f"search.input={config.search.input} is for query; build takes the pictures of search.source."
    if what == "build" and _get(config, "data.multi_label"):
        yield "data.multi_label=true: imgcls.search looks for wrong labels of one class a picture. Leave it out."
    if what == "build" and _get(config, "data.format") not in ("folder", "list", "sample"):
        yield f"data={config.data.name}: labels are taken from data=folder, data=list or data=sample."
    if _get(config, "search.engine") == "faiss" and find_spec("faiss") is None:
        yield 'search.engine=faiss needs the package faiss-cpu: pip install "imgcls[search]"'


def _measured(config: DictConfig) -> Iterator[str]:
    for word in _get(config, "benchmark.networks") or ():
        try:
            named([word])
        except UserError as error:
            yield f"benchmark.networks: {error}"


def _processes(config: DictConfig) -> int:
    """As many as are asked for; ``auto`` chooses no more than all this allows, see ``sharing``."""
    count = config.trainer.processes
    return 1 if isinstance(count, str) else count


def _get(config: DictConfig, key: str):
    """A value by dotted key, ``None`` where this program or choice has no such key."""
    for part in key.split("."):
        if not isinstance(config, DictConfig) or part not in config:
            return None
        config = config[part]
    return config
