"""Turn a command line of the original library into today's; needs nothing but Python.

    python scripts/translate_args.py python train.py --model=ResNet50_vd --batch_size=256 --lr 0.1

Knows train.py, eval.py, infer.py, predict.py and ema_clean.py. The new command goes to standard
output; what means something else today, or nothing any more, to standard error. What the original
did by default is spelled out where this library does otherwise. The table is docs/original_flags.md.
"""

import argparse
import csv
import difflib
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from original_flags import FLAGS, INTERPOLATIONS, PICTURES, STRATEGIES, Flag

CATALOGUE = Path(__file__).parents[1] / "imgcls" / "models" / "catalogue.csv"
USER_ERROR_STATUS = 2

# An inference model is found as these two files of one directory.
INFERENCE_PAIRS = (("model", "params"), ("__model__", "__params__"))


class TranslationError(Exception):
    """The old command line is wrong, or has no counterpart: what, and what to do."""


@dataclass
class Translation:
    """A command of this library, and what whoever typed the old one should know about it."""

    program: str
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    module: str = ""  # of the model's family

    def set(self, key: str, value: Any) -> None:
        self.overrides.append(f"{key}={hydra_value(value)}")

    def note(self, flag: str, text: str) -> None:
        self.notes.append(f"{flag}: {text}")

    @property
    def command(self) -> str:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(["python", "-m", f"imgcls.{self.program}", *self.overrides])])


def translate(words: Sequence[str]) -> Translation:
    """The new command for an old one, given as its words: variables, ``python``, the program, its flags.

    Raises:
        TranslationError: unknown program, flag, model or strategy, a value of the wrong kind, or
            there is no such command any more.
    """
    position = next((i for i, word in enumerate(words) if Path(word).name in PROGRAMS), None)
    if position is None:
        raise TranslationError(f"The command names none of {', '.join(PROGRAMS)}.")
    program = Path(words[position]).name
    flags, (new_program, build) = FLAGS[program], PROGRAMS[program]
    given = _parse(program, flags, words[position + 1 :])
    out = Translation(new_program)
    out.environment = dict(word.split("=", 1) for word in words[:position] if re.match(r"[A-Za-z_]\w*=", word))
    if "paddle.distributed.launch" in words[:position]:
        out.note("paddle.distributed.launch", "dropped, trainer.gpus=n starts a process for each of n GPUs.")
    args = {name: flag.default for name, flag in flags.items()} | given
    build(args, given, out)
    for name, value in given.items():
        flag = flags[name]
        if flag.gone:
            out.note(f"--{name}", f"dropped, {flag.gone}.")
        elif flag.only not in (None, out.module):
            out.note(f"--{name}", f"dropped, only {flag.only} networks have it.")
        elif flag.key:
            out.set(flag.key, value)
    _devices(args, out)
    return out


def hydra_value(value: Any) -> str:
    """A value as Hydra's command line takes it.

    >>> hydra_value([0.08, "it's", None])
    "[0.08,'it\\\\'s',null]"
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    if not isinstance(value, str):
        return repr(value)
    if re.fullmatch(r"[A-Za-z_./][\w./@+-]*", value) and value.lower() not in ("null", "true", "false", "nan", "inf"):
        return value
    # Hydra takes a backslash for an escape only where quotes follow.
    return "'" + re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + match[2].replace("'", "\\'"), value) + "'"


def _parse(program: str, flags: dict[str, Flag], words: Sequence[str]) -> dict[str, Any]:
    """The flags that are given, with their values."""

    class Parser(argparse.ArgumentParser):
        def error(self, message: str):
            raise TranslationError(f"{program}: {message}.")

    parser = Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for name, flag in flags.items():
        parser.add_argument(f"--{name}", type=flag.type, nargs="+" if flag.many else None)
    given, unknown = parser.parse_known_args(words)
    if unknown:
        name = unknown[0].split("=")[0]
        matches = close_matches(name, [f"--{flag}" for flag in flags])
        raise TranslationError(f"{program} had no flag '{name}'.{matches}")
    return vars(given)


def _devices(args: dict[str, Any], out: Translation) -> None:
    """One process drove all the GPUs it could see; now ``trainer.gpus`` says how many take part."""
    visible = out.environment.get("CUDA_VISIBLE_DEVICES")
    if not args.get("use_gpu", True):
        if out.program == "train":
            out.set("trainer.gpus", 0)
        else:
            out.environment["CUDA_VISIBLE_DEVICES"] = ""
    elif out.program == "train" and visible:
        out.set("trainer.gpus", len(visible.split(",")))


def _catalogue() -> dict[str, dict[str, str]]:
    with CATALOGUE.open(newline="", encoding="utf-8") as file:
        return {row["published_name"].lower(): row for row in csv.DictReader(file)}


def _model(name: str, args: dict[str, Any], out: Translation) -> None:
    """Choose the model; and the picture sizes where the original's differ from the model's own."""
    models = _catalogue()
    if name.endswith(".sh"):
        out.note(f"--model={name}", "the name of a script, taken for its model.")
        name = name.removesuffix(".sh")
    model = models.get(name.lower())
    if model is None:
        raise TranslationError(f"There is no model '{name}'.{close_matches(name.lower(), models)}")
    out.module = model["module"]
    out.set("model", name.lower())

    shape, resize_size, interpolation = args["image_shape"], args["resize_short_size"], args["interpolation"]
    if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]:
        raise TranslationError(f"--image_shape {shape}: must be 3 and two equal numbers, for square pictures.")
    if interpolation not in INTERPOLATIONS:
        raise TranslationError(f"--interpolation {interpolation}: must be one of OpenCV's numbers 0 to 4.")
    used = {"size": shape[1], "resize_size": resize_size, "interpolation": INTERPOLATIONS[interpolation]}
    own = {"size": int(model["input_size"]), "interpolation": model["interpolation"]}
    own["resize_size"] = round(used["size"] * int(model["resize_size"]) / own["size"])  # kept in proportion
    for key in used:
        if used[key] != own[key]:
            out.set(f"transform.{key}", used[key])
            out.note(
                f"transform.{key}={used[key]}",
                f"as the old command had it; left out, it is what {name} was published with.",
            )


def _model_in(path: str) -> str:
    """The model a directory is named for; the original kept results in directories named so."""
    names = [part.removesuffix("_pretrained") for part in reversed(Path(path).parts)]
    name = next((name for name in names if name.lower() in _catalogue()), None)
    if name is None:
        raise TranslationError(
            f"{path} does not say of which network it is, and today's command must: "
            "let the path have a directory named for the model, as ResNet50/."
        )
    return name


def _required(args: dict[str, Any], *names: str) -> list[str]:
    missing = [f"--{name}" for name in names if not args[name]]
    if missing:
        raise TranslationError(f"The old command needs {', '.join(missing)}.")
    return [args[name] for name in names]


def _train(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    _model(args["model"], args, out)
    out.set("model.pretrained", args["pretrained_model"])
    if args["checkpoint"]:
        out.set("trainer.resume", args["checkpoint"])
        out.note(
            "--checkpoint",
            "a training checkpoint, of either library; weights alone load as model.pretrained.",
        )
    out.set("data", "list")
    out.set("data.root", args["data_dir"])
    if args["use_dali"]:
        out.set("data.backend", "dali")
    if "lower_scale" in given:
        out.set("transform.scale", [args["lower_scale"], 1.0])
    if {"lower_ratio", "upper_ratio"} & given.keys():
        out.set("transform.ratio", [args["lower_ratio"], args["upper_ratio"]])
    if args["use_aa"]:
        out.set("transform.autoaugment", "imagenet")
    _strategy(args, given, out)
    if args["use_label_smoothing"] and out.module == "googlenet":
        out.note("--use_label_smoothing", "dropped, the original ignored it for GoogLeNet.")
    elif args["use_label_smoothing"]:
        out.set("callbacks.label_smoothing.enabled", True)
    out.set("trainer.epochs", args["num_epochs"])
    out.set("trainer.batch_size", args["batch_size"])
    out.set("trainer.eval_batch_size", args["test_batch_size"])
    out.set("trainer.num_workers", args["reader_thread"])
    if not args["validate"]:
        out.set("trainer.eval_every", args["num_epochs"])
        out.note("--validate", "the last epoch is always evaluated.")
    if args["use_fp16"]:
        out.set("trainer.amp.level", "O1")
        out.set("trainer.amp.scale_loss", args["scale_loss"])
        out.set("trainer.amp.dynamic", args["use_dynamic_loss_scaling"])
    if args["enable_ce"]:
        out.set("trainer.deterministic", True)
    if args["enable_ce"] or args["random_seed"] is not None:
        out.set("trainer.seed", 0 if args["enable_ce"] else args["random_seed"])
    if args["max_iter"] > 0:
        out.set("trainer.max_steps", args["max_iter"])
    if args["same_feed"] > 0:
        out.set("trainer.same_batch", args["same_feed"])


def _strategy(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    """Optimizer and learning rate, which the original picked together."""
    strategy = args["lr_strategy"]
    if strategy not in STRATEGIES:
        raise TranslationError(
            f"There was no lr_strategy '{strategy}'.{close_matches(strategy, STRATEGIES)} "
            f"There were: {', '.join(STRATEGIES)}."
        )
    optimizer, settings, schedule = STRATEGIES[strategy]
    out.set("optimizer", optimizer)
    out.set("optimizer.lr", args["lr"])
    out.set("optimizer.weight_decay", 0.0 if optimizer == "adam" else args["l2_decay"])
    if optimizer != "adam":
        out.set("optimizer.momentum", args["momentum_rate"])
    for key, value in settings.items():
        out.set(f"optimizer.{key}", value)

    out.set("lr_schedule", schedule)
    read = {"l2_decay", "momentum_rate"} if optimizer != "adam" else set()
    if schedule == "piecewise":
        read |= {"step_epochs"}
        out.set("lr_schedule.boundaries", args["step_epochs"])
    if schedule == "exponential":
        read |= {"decay_epochs", "decay_rate"}
        out.set("lr_schedule.decay_epochs", args["decay_epochs"])
        out.set("lr_schedule.decay_rate", args["decay_rate"])
    if schedule == "linear":
        out.set("lr_schedule.decay_epochs", 1)
        out.note("linear_decay", "the rate is 0 after one epoch, as it was; lr_schedule.decay_epochs=null mends it.")
    if strategy.endswith("_warmup"):
        read |= {"warm_up_epochs"}
        out.set("lr_schedule.warmup_epochs", args["warm_up_epochs"])
        if args["warm_up_epochs"] % 1:
            out.set("lr_schedule.warmup_whole_epochs", True)
    options = {"l2_decay", "momentum_rate", "step_epochs", "decay_epochs", "decay_rate", "warm_up_epochs"}
    for name in [name for name in given if name in options - read]:
        out.note(f"--{name}", f"dropped, {strategy} did not read it.")


def _eval(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    (weights,) = _required(args, "pretrained_model")
    _model(args["model"], args, out)
    out.set("eval.source", weights)
    out.set("data", "list")
    out.set("data.root", args["data_dir"])
    out.set("data.num_classes", args["class_dim"])
    out.set("eval.batch_size", args["batch_size"])
    out.set("eval.num_workers", args["reader_thread"])
    if args["same_feed"]:
        out.note("--same_feed", "dropped, evaluation takes every picture once.")


def _infer(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    (weights,) = _required(args, "pretrained_model")
    _model(args["model"], args, out)
    if args["save_inference"]:
        out.program = "export"
        out.set("export.source", weights)
        out.set("export.dir", args["model"])
        return
    out.set("predict.source", weights)
    out.set("predict.input", args["image_path"] or args["data_dir"])
    out.set("predict.topk", args["topk"])
    out.set("predict.batch_size", args["batch_size"])
    out.set("predict.num_workers", args["reader_thread"])
    if args["class_map_path"]:
        out.set("data.class_map", args["class_map_path"])
    if args["save_json_path"]:
        out.note("--save_json_path", "dropped, the answers are in predictions.jsonl of outputs/<run.name>.")


def _predict(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    model_file, params_file, picture = _required(args, "model_file", "params_file", "image_path")
    model, params = Path(model_file), Path(params_file)
    if model.parent != params.parent or (model.name, params.name) not in INFERENCE_PAIRS:
        raise TranslationError(
            f"{model} and {params}: put the two into one directory and call them 'model' and 'params'."
        )
    _model(_model_in(str(model.absolute().parent)), {name: flag.default for name, flag in PICTURES.items()}, out)
    out.set("predict.source", str(model.parent))
    out.set("predict.input", picture)
    if "gpu_id" in given:
        out.environment["CUDA_VISIBLE_DEVICES"] = str(args["gpu_id"]) if args["gpu_id"] >= 0 else ""


def _ema_clean(args: dict[str, Any], given: dict[str, Any], out: Translation) -> None:
    source, output = _required(args, "ema_model_dir", "cleaned_model_dir")
    out.set("model", _model_in(source).lower())
    out.set("convert.source", source)
    out.set("convert.output", output)
    out.set("convert.weights", "averaged")


PROGRAMS = {
    "train.py": ("train", _train),
    "eval.py": ("eval", _eval),
    "infer.py": ("predict", _infer),
    "predict.py": ("predict", _predict),
    "ema_clean.py": ("convert", _ema_clean),
}


def close_matches(word: str, candidates: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(candidates))
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        translation = translate(words)
    except TranslationError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    for note in translation.notes:
        print(f"note: {note}", file=sys.stderr)
    print(translation.command)
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
