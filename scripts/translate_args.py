"""Turn a command line of the original library into today's; needs nothing but Python.

    python scripts/translate_args.py python train.py --model=ResNet50_vd --batch_size=256 --lr 0.1

Knows train.py, eval.py, infer.py, predict.py and ema_clean.py. The new command goes to standard
output; what has changed its meaning, or has none any more, to standard error. What the original did
by default is spelled out where this library's default is another. docs/original_flags.md has the table.
"""

import argparse
import csv
import difflib
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).parents[1] / "imgcls" / "models" / "catalogue.csv"
USER_ERROR_STATUS = 2


class TranslationError(Exception):
    """The old command line is wrong, or has no counterpart: what, and what to do."""


def boolean(text: str) -> bool:
    """As ``distutils.util.strtobool``."""
    if text.lower() in ("y", "yes", "t", "true", "on", "1"):
        return True
    if text.lower() in ("n", "no", "f", "false", "off", "0"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")


@dataclass(frozen=True)
class Flag:
    """One flag of the original.

    Args:
        type: reads one value.
        default: the original's.
        key: what a given value sets today, unchanged.
        gone: why a given value has nothing to set any more.
        many: takes several values, separated by blanks.
    """

    type: Callable[[str], Any]
    default: Any = None
    key: str | None = None
    gone: str | None = None
    many: bool = False


@dataclass
class Translation:
    """A command of this library, and what its user should know about it."""

    program: str = ""
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def set(self, key: str, value: Any) -> None:
        self.overrides.append(f"{key}={hydra_value(value)}")

    def command(self) -> str:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(["python", "-m", f"imgcls.{self.program}", *self.overrides])])


BUFFER_GONE = "the number of batches in flight follows the number of workers"
GRAPH_GONE = "it was an option of the static graph"

PREPROCESSING = {
    "resize_short_size": Flag(int, 256),
    "image_mean": Flag(float, key="transform.mean", many=True),
    "image_std": Flag(float, key="transform.std", many=True),
    "image_shape": Flag(int, [3, 224, 224], many=True),
    "interpolation": Flag(int),
    "padding_type": Flag(str, key="model.args.padding_type"),
    "use_se": Flag(boolean, key="model.args.use_se"),
}

TRAIN = {
    **PREPROCESSING,
    "use_gpu": Flag(boolean, True),
    "model_save_dir": Flag(str, key="run.root"),
    "data_dir": Flag(str, "./data/ILSVRC2012/"),
    "pretrained_model": Flag(str),
    "finetune_exclude_pretrained_params": Flag(lambda text: text.split(","), key="model.exclude"),
    "checkpoint": Flag(str),
    "print_step": Flag(int, key="trainer.log_every"),
    "save_step": Flag(int, key="trainer.save_every"),
    "model": Flag(str, "ResNet50"),
    "total_images": Flag(int, gone="the images of the list are counted"),
    "num_epochs": Flag(int, 120),
    "class_dim": Flag(int, key="model.num_classes"),
    "batch_size": Flag(int, 8),
    "test_batch_size": Flag(int, 8),
    "lr": Flag(float, 0.1),
    "lr_strategy": Flag(str, "piecewise_decay"),
    "l2_decay": Flag(float, 1e-4),
    "momentum_rate": Flag(float),
    "warm_up_epochs": Flag(float, 5.0),
    "decay_epochs": Flag(float),
    "decay_rate": Flag(float),
    "drop_connect_rate": Flag(float, key="model.args.drop_connect_rate"),
    "step_epochs": Flag(int, many=True),
    "use_dali": Flag(boolean, False),
    "lower_scale": Flag(float),
    "lower_ratio": Flag(float, 3 / 4),
    "upper_ratio": Flag(float, 4 / 3),
    "use_mixup": Flag(boolean, key="callbacks.mixup.enabled"),
    "mixup_alpha": Flag(float, key="callbacks.mixup.alpha"),
    "reader_thread": Flag(int, 8),
    "reader_buf_size": Flag(int, gone=BUFFER_GONE),
    "use_aa": Flag(boolean, False),
    "validate": Flag(boolean, True),
    "use_fp16": Flag(boolean, False),
    "scale_loss": Flag(float, 1.0),
    "use_dynamic_loss_scaling": Flag(boolean, True),
    "data_format": Flag(str, key="model.data_format"),
    "fuse_elewise_add_act_ops": Flag(boolean, gone=GRAPH_GONE),
    "fuse_bn_act_ops": Flag(boolean, gone=GRAPH_GONE),
    "use_label_smoothing": Flag(boolean, key="callbacks.label_smoothing.enabled"),
    "label_smoothing_epsilon": Flag(float, key="callbacks.label_smoothing.epsilon"),
    "use_ema": Flag(boolean, key="callbacks.ema.enabled"),
    "ema_decay": Flag(float, key="callbacks.ema.decay"),
    "enable_ce": Flag(boolean, False),
    "random_seed": Flag(int),
    "is_profiler": Flag(boolean, False),
    "profiler_path": Flag(str),
    "max_iter": Flag(int, 0),
    "same_feed": Flag(int, 0),
}

EVAL = {
    **PREPROCESSING,
    "data_dir": Flag(str, "./data/ILSVRC2012/"),
    "batch_size": Flag(int, 256),
    "use_gpu": Flag(boolean, True),
    "class_dim": Flag(int, 1000),
    "pretrained_model": Flag(str),
    "model": Flag(str, "ResNet50"),
    "reader_thread": Flag(int, 8),
    "reader_buf_size": Flag(int, gone=BUFFER_GONE),
    "save_json_path": Flag(str, gone="the figures are in summary.json of outputs/<run.name>"),
    "same_feed": Flag(int, 0),
    "print_step": Flag(int, gone="evaluation shows a progress bar"),
    "deploy": Flag(boolean, key="model.args.deploy"),
}

INFER = {
    **PREPROCESSING,
    "data_dir": Flag(str, "./data/ILSVRC2012/val/"),
    "use_gpu": Flag(boolean, True),
    "class_dim": Flag(int, key="model.num_classes"),
    "pretrained_model": Flag(str),
    "model": Flag(str, "ResNet50"),
    "save_inference": Flag(boolean, False),
    "reader_thread": Flag(int, 1),
    "reader_buf_size": Flag(int, gone=BUFFER_GONE),
    "topk": Flag(int, 1),
    "class_map_path": Flag(str, key="data.class_map"),
    "image_path": Flag(str),
    "batch_size": Flag(int, 8),
    "save_json_path": Flag(str, gone="the answers are in predictions.jsonl of outputs/<run.name>"),
}

PREDICT = {
    "model_file": Flag(str),
    "params_file": Flag(str),
    "image_path": Flag(str),
    "gpu_id": Flag(int, 0),
    "gpu_mem": Flag(int, gone="memory is taken as needed"),
}

EMA_CLEAN = {"ema_model_dir": Flag(str), "cleaned_model_dir": Flag(str)}
