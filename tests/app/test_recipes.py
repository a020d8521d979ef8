"""Every recipe of conf/experiment against the original's script, and every file of conf/ in a composition."""

import inspect
import json
import math
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import hydra
import pytest
from locations import REFERENCE, ROOT
from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import SCHEMAS, TAG_LOSSES
from imgcls.app.loggers import LOGGERS
from imgcls.app.model_group import register_sources
from imgcls.app.program import conf_directory, typed
from imgcls.app.source import preprocessing
from imgcls.errors import UserError
from imgcls.functional.schedules import build_schedule
from imgcls.models.efficientnet import VARIANTS

RECIPES = json.loads((REFERENCE / "recipes.json").read_text())["recipes"]
DEFAULTS = {
    flag: entry["default"] for flag, entry in json.loads((REFERENCE / "defaults.json").read_text())["train.py"].items()
}
CONF = conf_directory()

OURS = {"all_layers", "finetune", "linear_probe", "probe_then_tune"}
"""Recipes for any network, which the original did not have."""

# What a script asked for by a name that its network does not have, or has another one for.
MEANT = {"ResNet50_ACNet.sh": "resnet50_acnet", "EfficientNet": "efficientnetb0"}
# Recipes that the original did not have: epochs, batch, learning rate, weight decay, and where these are.
OF_PAPERS = {
    "convnext_tiny": (300, 4096, 4e-3, 0.05, "arXiv:2201.03545, table 5"),
    "deit_small": (300, 1024, 1e-3, 0.05, "arXiv:2012.12877, table 9"),
    "pplcnet_x1_0": (360, 2048, 0.8, 3e-5, "PPLCNet_x1_0.yaml of PaddleClas"),
    "resnet50_a1": (600, 2048, 5e-3, 0.01, "arXiv:2110.00476, table 2"),
    "swin_tiny": (300, 1024, 1e-3, 0.05, "arXiv:2103.14030, appendix A2.1"),
}
OPENCV_INTERPOLATIONS = {None: "linear", 1: "linear", 2: "cubic", 3: "area", 4: "lanczos"}
RMSPROP_STRATEGIES = {"exponential_decay_warmup": (0.9, 0.001), "cosine_decay_RMSProp": (0.95, 1.0)}
# Arguments without a number that training depends on: where files go, how data is buffered, what was fused.
NO_NUMBER = {
    "class_dim",
    "fuse_bn_act_ops",
    "fuse_elewise_add_act_ops",
    "is_profiler",
    "model_save_dir",
    "profiler_path",
    "reader_buf_size",
    "total_images",
}
CHECKED = {
    *("model", "image_shape", "resize_short_size", "interpolation", "image_mean", "image_std", "data_format"),
    *("lower_scale", "lower_ratio", "upper_ratio", "use_aa", "use_dali", "reader_thread", "test_batch_size"),
    *("lr", "lr_strategy", "l2_decay", "momentum_rate", "num_epochs", "batch_size", "step_epochs", "warm_up_epochs"),
    *("decay_epochs", "decay_rate", "use_mixup", "mixup_alpha", "use_label_smoothing", "label_smoothing_epsilon"),
    *("use_ema", "ema_decay", "drop_connect_rate", "padding_type", "use_se", "validate", "print_step", "save_step"),
    *("use_fp16", "scale_loss", "use_dynamic_loss_scaling"),
}


def compose(*overrides: str, program: str = "train") -> DictConfig:
    register_sources()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(program, overrides=list(overrides))
        OmegaConf.resolve(config)
    return config


@cache
def composed(recipe: str) -> DictConfig:
    return compose(f"experiment={recipe.lower()}")


def original(recipe: str) -> dict:
    """All arguments that the script's run had."""
    return DEFAULTS | RECIPES[recipe]["args"]


def original_lr(args: dict, step: int) -> float:
    """The rate at one step by the formulas of schedules.json."""
    steps_per_epoch = math.ceil(args["total_images"] / args["batch_size"])
    epoch = step // steps_per_epoch
    lr, strategy = args["lr"], args["lr_strategy"]
    warmup_steps = args["warm_up_epochs"] * steps_per_epoch
    if strategy.endswith("_warmup") and epoch < args["warm_up_epochs"]:
        return lr * step / warmup_steps
    if strategy == "piecewise_decay":
        return lr * 0.1 ** sum(step >= steps_per_epoch * drop for drop in args["step_epochs"])
    if strategy == "cosine_decay":
        return lr * 0.5 * (math.cos(epoch * math.pi / args["num_epochs"]) + 1)
    if strategy == "cosine_decay_warmup":
        length = (args["num_epochs"] - args["warm_up_epochs"]) * steps_per_epoch
        return lr * (math.cos((step - warmup_steps) * math.pi / length) + 1) / 2
    assert strategy == "exponential_decay_warmup"
    return lr * args["decay_rate"] ** math.floor((step - warmup_steps) / (args["decay_epochs"] * steps_per_epoch))


def test_a_recipe_for_every_script():
    assert {path.stem for path in (CONF / "experiment").iterdir()} - OURS - set(OF_PAPERS) == {
        name.lower() for name in RECIPES
    }
    used = {flag for recipe in RECIPES.values() for flag in recipe["args"]}
    assert used <= CHECKED | NO_NUMBER
    assert used | CHECKED <= set(DEFAULTS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_has_the_numbers_of_the_script(recipe):
    args, config = original(recipe), composed(recipe)
    model, transform, optimizer, trainer = config.model, config.transform, config.optimizer, config.trainer

    assert model.name == MEANT.get(args["model"], args["model"].lower())
    assert model.pretrained is args["pretrained_model"] is None
    assert (model.exclude, model.freeze) == ([], [])
    assert model.data_format == args["data_format"]
    network_args = dict(model.args)
    if model.name.startswith("efficientnet"):
        parameters = inspect.signature(VARIANTS[model.name]).parameters
        for key in ("drop_connect_rate", "padding_type", "use_se"):
            assert network_args.pop(key, parameters[key].default) == args[key]
    assert not network_args

    assert (config.data.format, config.data.backend) == ("list", "dali" if args["use_dali"] else "pillow")
    assert (config.data.train_list, config.data.val_list) == ("train_list.txt", "val_list.txt")
    assert args["image_shape"] == [3, transform.size, transform.size]
    assert preprocessing(transform, model).resize_size == args["resize_short_size"]
    assert transform.interpolation == OPENCV_INTERPOLATIONS[args["interpolation"]]
    assert (transform.mean, transform.std) == (args["image_mean"], args["image_std"])
    assert transform.scale == [args["lower_scale"], 1.0]
    assert transform.ratio == pytest.approx([args["lower_ratio"], args["upper_ratio"]], abs=0)
    assert (transform.rotation, transform.color_jitter, transform.flip) == (0, [0, 0, 0, 0], 0.5)
    assert transform.autoaugment == ("imagenet" if args["use_aa"] else False)

    assert (optimizer.lr, optimizer.weight_decay) == (args["lr"], args["l2_decay"])
    assert optimizer.momentum == args["momentum_rate"]
    if args["lr_strategy"] in RMSPROP_STRATEGIES:
        assert optimizer.name == "rmsprop"
        assert (optimizer.rho, optimizer.epsilon) == RMSPROP_STRATEGIES[args["lr_strategy"]]
    else:
        assert (optimizer.name, optimizer.use_nesterov) == ("momentum", False)
    assert not optimizer.no_decay_on_norm_and_bias
    assert (optimizer.head_lr_multiplier, optimizer.grad_clip_norm) == (1, None)

    callbacks = config.callbacks
    assert (callbacks.mixup.enabled, callbacks.mixup.alpha) == (args["use_mixup"], args["mixup_alpha"])
    assert callbacks.label_smoothing.enabled == args["use_label_smoothing"]
    assert callbacks.label_smoothing.epsilon == args["label_smoothing_epsilon"]
    assert (callbacks.ema.enabled, callbacks.ema.decay) == (args["use_ema"], args["ema_decay"])

    assert (trainer.epochs, trainer.batch_size) == (args["num_epochs"], args["batch_size"])
    assert (trainer.eval_batch_size, trainer.num_workers) == (args["test_batch_size"], args["reader_thread"])
    assert (trainer.log_every, trainer.save_every) == (args["print_step"], args["save_step"])
    assert args["validate"]
    assert trainer.eval_every == 1
    assert (trainer.accumulate, trainer.max_steps, trainer.resume) == (1, None, None)
    if args["use_fp16"]:
        assert (trainer.amp.level, trainer.amp.dtype) == ("O1", "float16")
        assert trainer.amp.scale_loss == args["scale_loss"]
        assert trainer.amp.dynamic == args["use_dynamic_loss_scaling"]
    else:
        assert trainer.amp.level == "O0"


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_learns_at_the_rates_of_the_script(recipe):
    args, config = original(recipe), composed(recipe)
    steps_per_epoch = math.ceil(args["total_images"] / args["batch_size"])
    schedule = build_schedule(
        base_lr=config.optimizer.lr,
        steps_per_epoch=steps_per_epoch,
        epochs=config.trainer.epochs,
        **config.lr_schedule,
    )
    last = args["num_epochs"] * steps_per_epoch - 1
    steps = [0, 1, last, *range(97, last, last // 200)]
    for drop in args["step_epochs"]:
        steps += [drop * steps_per_epoch - 1, drop * steps_per_epoch]
    assert [schedule(step) for step in steps] == pytest.approx([original_lr(args, step) for step in steps], rel=1e-9)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_can_be_started(recipe, tmp_path):
    config = composed(recipe).copy()
    config.data.root = str(tmp_path)
    assert typed(config, "train").optimizer.lr == original(recipe)["lr"]


@pytest.mark.parametrize("recipe", OF_PAPERS)
def test_recipe_of_a_paper(recipe):
    """Its numbers, and the place that they are from in the file."""
    epochs, batch, lr, weight_decay, source = OF_PAPERS[recipe]
    config = composed(recipe)
    optimizer = config.optimizer
    rate = optimizer.lr * (batch / optimizer.base_batch_size if optimizer.scale_lr else 1)
    assert (config.trainer.epochs, config.trainer.batch_size) == (epochs, batch)
    assert (rate, optimizer.weight_decay) == (pytest.approx(lr), weight_decay)
    assert config.model.pretrained is None
    assert source in (CONF / "experiment" / f"{recipe}.yaml").read_text(encoding="utf-8")


SMALL = ("data=synthetic", "data.num_classes=5", "data.train_size=8", "data.val_size=4", "transform.size=32")


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name == "deit_small" else [pytest.mark.full]) for name in OF_PAPERS]
)
def test_recipe_of_a_paper_starts(recipe, run_program, tmp_path):
    """Two updates of four small images."""
    quick = ("trainer.batch_size=4", "trainer.num_workers=0", "trainer.max_steps=2", "trainer.epochs=1", "run.name=a")
    run_program("train", f"experiment={recipe}", *SMALL, *quick, "lr_schedule.warmup_epochs=0", cwd=tmp_path)
    assert json.loads((tmp_path / "outputs" / "a" / "status.json").read_text())["status"] == "finished"


def test_command_line_wins_over_a_recipe():
    config = compose(
        "experiment=resnet50_vd",
        *("model=inceptionv4", "lr_schedule=constant", "optimizer=adamw", "data=synthetic"),
        *("optimizer.lr=0.002", "trainer.batch_size=64", "callbacks.mixup.enabled=false", "model.pretrained=true"),
    )
    assert (config.model.name, config.model.pretrained) == ("inceptionv4", True)
    assert (config.transform.size, preprocessing(config.transform, config.model).resize_size) == (299, 320)
    assert (config.lr_schedule.name, config.optimizer.name, config.data.format) == ("constant", "adamw", "synthetic")
    assert (config.optimizer.lr, config.trainer.batch_size) == (0.002, 64)
    assert not config.callbacks.mixup.enabled
    assert config.callbacks.label_smoothing.enabled


def test_a_recipe_starts_from_random_weights_even_where_some_are_bundled():
    assert compose().model.pretrained is True
    assert compose("experiment=squeezenet1_1").model.pretrained is None


WITH_EXTRA = {"huggingface": "pyarrow", **{name: kind.package for name, kind in LOGGERS.items()}}
"""Choices that need a package, which may not be there."""


def choices() -> list[tuple[str, str]]:
    """Every file in a directory of conf/, as group and choice."""
    files = sorted(CONF.rglob("*/*.yaml"))
    return [(path.parent.relative_to(CONF).as_posix(), path.stem) for path in files]


@pytest.mark.parametrize(("group", "choice"), [pair for pair in choices() if pair[0] != "experiment"])
def test_every_choice_of_every_group_composes(group, choice, tmp_path):
    own = [f"{group}._target_=my_module.mine"] if choice == "own" else []
    own += ["data.multi_label=true", "trainer.monitor=mAP"] if choice in TAG_LOSSES else []
    composed = compose(f"{group}={choice}", f"data.root={tmp_path}", *own)
    if choice in WITH_EXTRA and find_spec(WITH_EXTRA[choice]) is None:
        with pytest.raises(UserError, match=re.escape(f'pip install "imgcls[{choice}]"')):
            typed(composed, "train")
        return
    config = typed(composed, "train")
    if "name" in config.get(group, ()):
        assert config[group].name == choice


@pytest.mark.parametrize("program", SCHEMAS)
def test_every_program_composes(program):
    required = {
        "predict": ["predict.input=photo.jpg"],
        "convert": ["convert.source=old", "convert.output=new.pdparams"],
        "compare": ["compare.runs=[outputs/a]"],
        "search": ["search.what=build", "search.source=outputs/features"],
    }
    config = typed(compose(*required.get(program, []), program=program), program)
    if program == "verify":  # looks at pictures, not at networks
        assert config.data.name == "sample"
    elif program == "search":  # looks at features
        assert config.data.name == "folder"
    elif program == "compare":  # looks at runs
        assert config.compare.runs == ["outputs/a"]
    else:
        assert config.model.name == "squeezenet1_1"


def test_no_file_at_the_top_of_conf_is_left_over():
    included = {
        str(entry).removeprefix("/").removesuffix("@_here_")
        for path in CONF.rglob("*.yaml")
        for entry in OmegaConf.load(path).get("defaults", [])
    }
    assert {path.stem for path in CONF.glob("*.yaml")} <= set(SCHEMAS) | included


def leaves(path: Path) -> dict[tuple[str, ...], object]:
    """The values that a file gives itself, by section and key."""
    content = OmegaConf.to_container(OmegaConf.load(path))
    sections = {name: section for name, section in content.items() if name != "defaults"}
    return {(name, key): value for name, section in sections.items() for key, value in section.items()}


def test_a_recipe_does_not_repeat_its_base():
    base = leaves(CONF / "recipe_base.yaml")
    own = {path.stem: leaves(path) for path in (CONF / "experiment").glob("*.yaml")}
    repeated = [(recipe, *key) for recipe, values in own.items() for key in values if values[key] == base.get(key, ...)]
    assert not repeated


def test_the_script_that_takes_the_published_name(run_program, tmp_path):
    overrides = ["trainer.epochs=3", "--cfg", "job"]
    script = subprocess.run(
        ["bash", str(ROOT / "scripts" / "train.sh"), "ResNet50_vd", *overrides],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert script.stdout == run_program("train", "experiment=resnet50_vd", *overrides, cwd=tmp_path).stdout
    assert "batch_size: 256" in script.stdout
