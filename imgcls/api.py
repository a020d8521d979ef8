"""The public Python surface; importing it is cheap, Paddle comes with the first call that needs it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls.data.paths import as_path
from imgcls.errors import UserError, as_shown
from imgcls.machine.installation import require_paddle
from imgcls.machine.reading import read_json
from imgcls.models.registry import build_model, list_models, model_info, register_model

if TYPE_CHECKING:
    import paddle

    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.deploy.image_predictor import ImagePredictor
    from imgcls.engine.callback import Callback

__all__ = [
    "TrainingRun",
    "create_model",
    "list_models",
    "load_predictor",
    "model_info",
    "preprocessing",
    "register_model",
    "train",
]


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: str | Path | bool | None = None,
    data_format: str = "NCHW",
    pretrained_from: str | None = None,
    **overrides: Any,
) -> "paddle.nn.Layer":
    """Build a network by name.

    Args:
        name: canonical or published name, case ignored (``"resnet50_vd"``, ``"ResNet50_vd"``).
        num_classes: width of the last layer; left out, that of the run or checkpoint that ``pretrained``
            names, or 1000.
        pretrained: ``True`` for the bundled or published weights, or a path: a ``.pdparams`` file,
            a fluid 1.x directory or tar, a checkpoint or run directory, a ``.pth`` or ``.safetensors`` file
            of torchvision or timm, ``"hf-hub:timm/resnet50d.ra2_in1k"``. When the class counts differ, the
            last layer keeps its fresh initialisation, which the log warns of.
        data_format: of the feature maps inside the network; ``NHWC`` is the faster one in float16 on
            tensor cores. Images, features, logits and weights are the same in both.
        pretrained_from: whose weights they are, where the file does not tell: ``torchvision``, ``timm``,
            ``paddleclas``, ``paddle_vision``.
        **overrides: arguments of the family's network class, in place of the variant's.

    Returns:
        A layer whose ``forward`` takes float32 ``[N, 3, H, W]`` and returns raw logits
        ``[N, num_classes]``.

    Raises:
        UserError: unknown model, override or data format; an impossible value; weights missing or not fitting.
    """
    if not isinstance(pretrained, bool | None):
        pretrained = as_path(pretrained, "pretrained", "True, or a path of weights, a checkpoint or a run")
    if num_classes is None:
        num_classes = _recorded_class_count(pretrained) or 1000
    network = build_model(name, num_classes, data_format, **overrides)
    if pretrained:
        from imgcls.weights.load import load_pretrained

        load_pretrained(network, model_info(name), pretrained, pretrained_from=pretrained_from)
    return network


def _recorded_class_count(pretrained: str | Path | bool | None) -> int | None:
    """Of a run or a checkpoint; ``None`` for anything else, existing or not."""
    if not isinstance(pretrained, str | Path) or not Path(pretrained).is_dir():
        return None
    from imgcls.app.run_record import read_record

    record = read_record(pretrained)
    return record and len(record.class_names)


def preprocessing(source: str | Path) -> "Preprocessing":
    """How a network sees an image: ``.transform()``, ``.normalize(images)``, and the numbers they are made of.

    Args:
        source: a model's name, a run, a checkpoint, or an export.

    Raises:
        UserError: there is no such thing.
    """
    source = as_path(source, "source", "the name of a model, or the path of a run, a checkpoint or an export")
    require_paddle()
    from imgcls.app.prediction import known_preprocessing

    return known_preprocessing(source)


def load_predictor(
    source: str | Path,
    *,
    model: str | None = None,
    weights: str = "auto",
    engine: str | None = None,
    class_names: Sequence[str] | None = None,
    **engine_options: Any,
) -> "ImagePredictor":
    """What answers for images: ``.predict(images)``, ``.features(images)``.

    Args:
        source: a run (its best checkpoint), a checkpoint, an export, a model's name for its published
            weights, or a file of weights for ``model``.
        model: the architecture that a file of weights is for.
        weights: ``network``, or ``ema`` for the averaged weights of a run; ``auto`` for those that
            ``trainer.monitor`` judged it by.
        engine: of an export: ``inference``, ``jit``, ``onnxruntime``, ``openvino``, or ``auto`` for the fastest.
        class_names: of a file of weights, one for each class; ImageNet's when left out.
        **engine_options: of the export's engine, such as ``threads``.

    Raises:
        UserError: there is no such source, it is damaged, or an argument does not go with it.
    """
    source = as_path(source, "source", "the path of a run, a checkpoint, an export or weights, or a model's name")
    require_paddle()
    from imgcls.app.prediction import open_predictor

    return open_predictor(
        source, model=model, weights=weights, engine=engine, class_names=class_names, **engine_options
    )


@dataclass(frozen=True)
class TrainingRun:
    """What ``train`` leaves behind: its directory. It can be given in place of a path, to ``load_predictor`` for one.

    ``metrics`` are those of the best epoch: ``loss``, ``top1``, ..., ``epoch``.
    """

    path: Path
    metrics: Mapping[str, float]

    def __fspath__(self) -> str:
        return str(self.path)


def train(
    *overrides: str,
    run: str | None = None,
    own_callbacks: "Sequence[Callback]" = (),
    **sections: str | Mapping[str, Any],
) -> TrainingRun:
    """Train as ``python -m imgcls.train`` does, with the same defaults, and show the same log.

    >>> imgcls.train(run="pets", data={"name": "folder", "root": "photos"}, trainer={"epochs": 5})

    Args:
        *overrides: as on the command line, such as ``"optimizer.lr=0.01"``.
        run: the run's name, ``run.name`` of the command.
        own_callbacks: objects of classes derived from ``imgcls.Callback``; for a run of one process.
        **sections: of ``conf/``: a choice by name (``model="resnet50_vd"``), or a mapping of keys to values,
            whose ``name`` is the choice.

    Raises:
        UserError: a mistake in the configuration or the data.
        Interrupted: a signal stopped the run, which has saved its state.
    """
    from imgcls.app.composition import composed
    from imgcls.app.job import start_training

    own = _callbacks(own_callbacks)
    named = {"run": {"name": run}} if run is not None else {}
    with composed("train", overrides, {**sections, **named}, bool(own)) as (config, directory):
        start_training(config, directory, own)
    summary = directory / "summary.json"
    best = read_json(summary)["best"] if summary.exists() else {}
    return TrainingRun(directory, best)


def _callbacks(given: "Iterable[Callback] | None") -> "tuple[Callback, ...]":
    own = () if given is None else tuple(given) if isinstance(given, Iterable) else (given,)
    module = sys.modules.get("imgcls.engine.callback")  # imported by whoever derived a class from it
    for one in own:
        if module is None or not isinstance(one, module.Callback):
            raise UserError(
                f"own_callbacks: {as_shown(one)} is no object of a class derived from imgcls.Callback. Give a list of "
                "such objects."
            )
    return own
