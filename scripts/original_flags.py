"""The flags of the original's programs: how each is read, and what it has become; for translate_args.py.

Where the old default matters it is given: this library's is another.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# OpenCV's numbers; the original took 0 for unset.
INTERPOLATIONS = {None: "linear", 0: "linear", 1: "linear", 2: "cubic", 3: "area", 4: "lanczos"}

# Strategy: optimizer, its settings, schedule.
STRATEGIES = {
    "piecewise_decay": ("momentum", {}, "piecewise"),
    "cosine_decay": ("momentum", {}, "cosine"),
    "cosine_decay_RMSProp": ("rmsprop", {"rho": 0.95, "epsilon": 1.0}, "cosine"),
    "cosine_decay_warmup": ("momentum", {}, "cosine_step"),
    "exponential_decay_warmup": ("rmsprop", {"rho": 0.9, "epsilon": 0.001}, "exponential"),
    "linear_decay": ("momentum", {}, "linear"),
    "adam_decay": ("adam", {}, "constant"),
    "default_decay": ("momentum", {}, "constant"),
}


def boolean(text: str) -> bool:
    """As ``distutils.util.strtobool``, which Python no longer has."""
    if text.lower() in ("y", "yes", "t", "true", "on", "1"):
        return True
    if text.lower() in ("n", "no", "f", "false", "off", "0"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")


@dataclass(frozen=True)
class Flag:
    """One flag of the original; without ``key`` and ``gone`` it takes more than renaming.

    Args:
        type: reads one value.
        default: the original's.
        key: what a given value sets today, as it is.
        gone: why a given value has nothing to set.
        only: family module of the only networks that have ``key``.
        many: takes several values, separated by blanks.
    """

    type: Callable[[str], Any]
    default: Any = None
    key: str | None = None
    gone: str | None = None
    only: str | None = None
    many: bool = False


PICTURES = {
    "image_shape": Flag(int, [3, 224, 224], many=True),
    "resize_short_size": Flag(int, 256),
    "interpolation": Flag(int),
    "image_mean": Flag(float, key="transform.mean", many=True),
    "image_std": Flag(float, key="transform.std", many=True),
}
COMMON = {
    **PICTURES,
    "model": Flag(str, "ResNet50"),
    "pretrained_model": Flag(str),
    "padding_type": Flag(str, key="model.args.padding_type", only="efficientnet"),
    "use_se": Flag(boolean, key="model.args.use_se", only="efficientnet"),
    "use_gpu": Flag(boolean, True),
    "reader_buf_size": Flag(int, gone="how many batches wait follows from the number of workers"),
}
STATIC_GRAPH = "it was an option of the static graph"

TRAIN = {
    **COMMON,
    "model_save_dir": Flag(str, key="run.root"),
    "data_dir": Flag(str, "./data/ILSVRC2012/"),
    "finetune_exclude_pretrained_params": Flag(lambda text: text.split(","), key="model.exclude"),
    "checkpoint": Flag(str),
    "print_step": Flag(int, key="trainer.log_every"),
    "save_step": Flag(int, key="trainer.save_every"),
    "total_images": Flag(int, gone="the pictures are counted"),
    "num_epochs": Flag(int, 120),
    "class_dim": Flag(int, key="model.num_classes"),
    "batch_size": Flag(int, 8),
    "test_batch_size": Flag(int, 8),
    "lr": Flag(float, 0.1),
    "lr_strategy": Flag(str, "piecewise_decay"),
    "l2_decay": Flag(float, 1e-4),
    "momentum_rate": Flag(float, 0.9),
    "warm_up_epochs": Flag(float, 5.0),
    "decay_epochs": Flag(float, 2.4),
    "decay_rate": Flag(float, 0.97),
    "step_epochs": Flag(int, [30, 60, 90], many=True),
    "drop_connect_rate": Flag(float, key="model.args.drop_connect_rate", only="efficientnet"),
    "use_dali": Flag(boolean, False),
    "lower_scale": Flag(float, 0.08),
    "lower_ratio": Flag(float, 3 / 4),
    "upper_ratio": Flag(float, 4 / 3),
    "use_mixup": Flag(boolean, key="callbacks.mixup.enabled"),
    "mixup_alpha": Flag(float, key="callbacks.mixup.alpha"),
    "reader_thread": Flag(int, 8),
    "use_aa": Flag(boolean, False),
    "validate": Flag(boolean, True),
    "use_fp16": Flag(boolean, False),
    "scale_loss": Flag(float, 1.0),
    "use_dynamic_loss_scaling": Flag(boolean, True),
    "data_format": Flag(str, key="model.data_format"),
    "fuse_elewise_add_act_ops": Flag(boolean, gone=STATIC_GRAPH),
    "fuse_bn_act_ops": Flag(boolean, gone=STATIC_GRAPH),
    "use_label_smoothing": Flag(boolean, False),
    "label_smoothing_epsilon": Flag(float, key="callbacks.label_smoothing.epsilon"),
    "use_ema": Flag(boolean, key="callbacks.ema.enabled"),
    "ema_decay": Flag(float, key="callbacks.ema.decay"),
    "enable_ce": Flag(boolean, False),
    "random_seed": Flag(int),
    "is_profiler": Flag(boolean, key="trainer.profiler.enabled"),
    "profiler_path": Flag(str, gone="the profile is in outputs/<run.name>/profile"),
    "max_iter": Flag(int, 0),
    "same_feed": Flag(int, 0),
}
EVAL = {
    **COMMON,
    "data_dir": Flag(str, "./data/ILSVRC2012/"),
    "batch_size": Flag(int, 256),
    "class_dim": Flag(int, 1000),
    "reader_thread": Flag(int, 8),
    "save_json_path": Flag(str, gone="the figures are in summary.json of outputs/<run.name>"),
    "same_feed": Flag(int, 0),
    "print_step": Flag(int, gone="evaluation shows its progress all the time"),
    "deploy": Flag(boolean, key="model.args.deploy", only="acnet"),
}
INFER = {
    **COMMON,
    "data_dir": Flag(str, "./data/ILSVRC2012/val/"),
    "class_dim": Flag(int, key="model.num_classes"),
    "save_inference": Flag(boolean, False),
    "reader_thread": Flag(int, 1),
    "topk": Flag(int, 1),
    "class_map_path": Flag(str),
    "image_path": Flag(str),
    "batch_size": Flag(int, 8),
    "save_json_path": Flag(str),
}
PREDICT = {
    "model_file": Flag(str),
    "params_file": Flag(str),
    "image_path": Flag(str),
    "gpu_id": Flag(int, 0),
    "gpu_mem": Flag(int, gone="memory is taken as it is needed"),
}
EMA_CLEAN = {"ema_model_dir": Flag(str), "cleaned_model_dir": Flag(str)}

FLAGS = {"train.py": TRAIN, "eval.py": EVAL, "infer.py": INFER, "predict.py": PREDICT, "ema_clean.py": EMA_CLEAN}
