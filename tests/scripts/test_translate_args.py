"""Old command lines against the new ones: all recipes, all strategies, all flags, all programs."""

import json
import math
import re
import shlex
import subprocess
import sys
from functools import cache

import hydra
import pytest
from locations import REFERENCE, ROOT
from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import SCHEMAS
from imgcls.app.model_group import register_sources
from imgcls.app.overrides import canonical
from imgcls.app.program import conf_directory, typed
from imgcls.functional.schedules import build_schedule

RECIPES = json.loads((REFERENCE / "recipes.json").read_text())["recipes"]
SCHEDULES = json.loads((REFERENCE / "schedules.json").read_text())
DEFAULTS = {k: v for k, v in json.loads((REFERENCE / "defaults.json").read_text()).items() if k.endswith(".py")}
PROGRAMS = {
    "train.py": "train",
    "eval.py": "eval",
    "infer.py": "predict",
    "predict.py": "predict",
    "ema_clean.py": "convert",
}
SCRIPT = ROOT / "scripts" / "translate_args.py"

sys.path.insert(0, str(SCRIPT.parent))
from original_flags import FLAGS  # noqa: E402
from translate_args import TranslationError, hydra_value, translate  # noqa: E402


def compose(overrides: list[str], program: str = "train") -> DictConfig:
    register_sources()
    with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
        config = hydra.compose(program, overrides=canonical(overrides, program))
        OmegaConf.resolve(config)
    return config


def old_command(recipe: dict, equals_sign: bool) -> list[str]:
    """What the script ran, with its flags as ``--a=b`` or as ``--a b``."""
    words = [f"{name}={value}" for name, value in recipe.get("env", {}).items()]
    words += [*recipe.get("launch", "python").split(), "train.py"]
    for flag, value in recipe["args"].items():
        if isinstance(value, list):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}={value}"] if equals_sign else [f"--{flag}", str(value)]
    return words


def same(translated: DictConfig, experiment: DictConfig) -> None:
    """Equal but for where files are, on how many GPUs, and what the experiment leaves to the data."""
    for section in ("transform", "optimizer", "lr_schedule", "callbacks"):
        assert translated[section] == experiment[section]
    for section, elsewhere in (("data", {"root"}), ("trainer", {"gpus"}), ("model", {"name", "num_classes"})):
        for key in translated[section].keys() - elsewhere:
            assert translated[section].get(key) == experiment[section].get(key), f"{section}.{key}"


def one_of_each_kind_or_full() -> list:
    """By default one recipe of all that gave the same flags and the same strategy."""
    seen, cases = set(), []
    for name, recipe in RECIPES.items():
        kind = *sorted(recipe["args"]), recipe["args"].get("lr_strategy"), *recipe.get("env", {}), recipe.get("launch")
        cases.append(pytest.param(name, marks=[pytest.mark.full] if kind in seen else []))
        seen.add(kind)
    return cases


@pytest.mark.parametrize("name", one_of_each_kind_or_full())
def test_recipes_translate_to_their_experiments(name):
    recipe = RECIPES[name]
    translation = translate(old_command(recipe, equals_sign=len(name) % 2 == 0))
    assert translation.program == "train"
    translated, experiment = compose(translation.overrides), compose([f"experiment={name.lower()}"])
    if name == "EfficientNetB0":  # the script named the class, whose defaults are B0
        assert (translated.model.name, experiment.model.name) == ("efficientnet", "efficientnetb0")
    else:
        assert translated.model.name == experiment.model.name
    same(translated, experiment)
    assert translated.trainer.gpus == recipe.get("gpus")
    assert translated.model.num_classes in (None, 1000)
    assert translation.environment == recipe.get("env", {})


def test_both_spellings_are_one():
    recipe = RECIPES["ResNet50_fp16"]
    assert translate(old_command(recipe, True)).overrides == translate(old_command(recipe, False)).overrides


@pytest.mark.parametrize("setting", SCHEDULES["settings"])
@pytest.mark.parametrize("strategy", SCHEDULES["strategies"])
def test_strategies_translate_to_their_rates(strategy, setting):
    args = SCHEDULES["settings"][setting]
    flags = {**args, "lr_strategy": strategy}
    config = compose(translate(old_command({"args": flags}, True)).overrides)
    reference = SCHEDULES["strategies"][strategy]["lr"][setting]
    steps_per_epoch = math.ceil(args["total_images"] / args["batch_size"])
    schedule = build_schedule(
        base_lr=config.optimizer.lr,
        steps_per_epoch=steps_per_epoch,
        epochs=config.trainer.epochs,
        **config.lr_schedule,
    )
    assert [schedule(step) for step in range(len(reference))] == pytest.approx(reference, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("strategy", "optimizer"),
    [
        ("cosine_decay", {"name": "momentum", "momentum": 0.8, "weight_decay": 0.0001}),
        ("cosine_decay_RMSProp", {"name": "rmsprop", "rho": 0.95, "epsilon": 1.0, "momentum": 0.8}),
        ("exponential_decay_warmup", {"name": "rmsprop", "rho": 0.9, "epsilon": 0.001, "momentum": 0.8}),
        ("adam_decay", {"name": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0}),
    ],
)
def test_strategies_translate_to_their_optimizers(strategy, optimizer):
    config = compose(translate(["train.py", f"--lr_strategy={strategy}", "--momentum_rate=0.8"]).overrides)
    assert {key: config.optimizer[key] for key in optimizer} == optimizer


@pytest.mark.parametrize("program", DEFAULTS)
def test_every_flag_is_known_with_its_default(program):
    assert FLAGS[program].keys() == DEFAULTS[program].keys()
    for name, flag in FLAGS[program].items():
        reference = DEFAULTS[program][name]
        assert flag.many == reference["type"].startswith("list"), name
        if flag.default is not None:
            assert flag.default == reference.get("default"), name


@cache
def schema_of(program: str) -> DictConfig:
    return OmegaConf.structured(SCHEMAS[program])


def has_key(program: str, key: str) -> bool:
    """Whether a program's configuration has a key, under some choice of its groups."""
    section, _, name = key.rpartition(".")
    schema = schema_of(program)
    keys = set(OmegaConf.select(schema, section) if section else schema)  # `in` would skip those without a value
    return section == "model.args" or name in keys


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_key_exists(program):
    keys = [flag.key for flag in FLAGS[program].values() if flag.key]
    assert all(has_key(PROGRAMS[program], key) for key in keys)


@pytest.mark.parametrize("program", DEFAULTS)
def test_every_flag_has_a_row_in_the_docs(program):
    sections = (ROOT / "docs" / "original_flags.md").read_text().split("\n## ")
    (section,) = [section for section in sections if section.startswith(program)]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    rows = [row for row in table if row[0].startswith("`--") and len(row) == 4]
    assert sorted(row[0] for row in rows) == sorted(f"`--{flag}`" for flag in DEFAULTS[program])

    new_program = re.search(r"imgcls\.(\w+)", section)[1]
    for flag, _, today, _ in rows:
        keys = re.findall(r"`([\w.]+)`", today)
        assert keys or today == "–", flag
        assert all(has_key(new_program, key) for key in keys), flag


def test_strategies_are_in_the_docs_as_they_are_translated():
    text = (ROOT / "docs" / "original_flags.md").read_text()
    for strategy in SCHEDULES["strategies"]:
        documented = re.search(rf"^\| `{strategy}` \| `([^`]*)`", text, re.MULTILINE)[1].split()
        translated = translate(["train.py", f"--lr_strategy={strategy}"]).overrides
        documented, translated = compose(documented), compose(translated)
        assert documented.lr_schedule == translated.lr_schedule
        for key in ("name", "rho", "epsilon"):
            assert documented.optimizer.get(key) == translated.optimizer.get(key)


TRAIN_CASES = {
    "--use_gpu=False": ["trainer.gpus=0"],
    "--model_save_dir=output/": ["run.root=output/"],
    "--pretrained_model=w --finetune_exclude_pretrained_params=fc,conv1": [
        "model.pretrained=w",
        "model.exclude=[fc,conv1]",
    ],
    "--checkpoint=c": ["trainer.resume=c"],
    "--data_dir /data": ["data.root=/data"],
    "--class_dim=5 --print_step=20 --save_step=2": [
        "model.num_classes=5",
        "trainer.log_every=20",
        "trainer.save_every=2",
    ],
    "--image_shape 3 192 192 --resize_short_size=224": ["transform.size=192", "transform.resize_size=224"],
    "--image_mean 0.5 0.5 0.5 --image_std 0.2 0.2 0.2": ["transform.mean=[0.5,0.5,0.5]", "transform.std=[0.2,0.2,0.2]"],
    "--interpolation=2": ["transform.interpolation=cubic"],
    "--lower_scale=0.2 --upper_ratio=1.5": ["transform.scale=[0.2,1.0]", "transform.ratio=[0.75,1.5]"],
    "--step_epochs 10 20": ["lr_schedule.boundaries=[10,20]"],
    "--lr_strategy=cosine_decay_warmup --warm_up_epochs=2.5": [
        "lr_schedule=cosine_step",
        "lr_schedule.warmup_epochs=2.5",
        "lr_schedule.warmup_whole_epochs=true",
    ],
    "--validate=False --num_epochs=40": ["trainer.epochs=40", "trainer.eval_every=0"],
    "--use_fp16=on": ["trainer.amp.level=O1", "trainer.amp.scale_loss=1.0", "trainer.amp.dynamic=true"],
    "--use_mixup=1 --mixup_alpha=0.4": ["callbacks.mixup.enabled=true", "callbacks.mixup.alpha=0.4"],
    "--use_ema=y --ema_decay=0.99": ["callbacks.ema.enabled=true", "callbacks.ema.decay=0.99"],
    "--use_label_smoothing=t": ["callbacks.label_smoothing.enabled=true"],
    "--enable_ce=True": ["trainer.deterministic=true", "trainer.seed=0"],
    "--random_seed=7 --max_iter=100": ["trainer.seed=7", "trainer.max_steps=100"],
    "--is_profiler=true": ["trainer.profiler.enabled=true"],
    "--same_feed=4": ["trainer.same_batch=4"],
    "--model=EfficientNetB3 --padding_type=VALID --use_se=False --drop_connect_rate=0.3": [
        "model=efficientnetb3",
        "model.args.padding_type=VALID",
        "model.args.use_se=false",
        "model.args.drop_connect_rate=0.3",
        # made for 300 pixels and cubic; the old command ran with what it did by default
        "transform.size=224",
        "transform.resize_size=256",
        "transform.interpolation=linear",
    ],
}


@pytest.mark.parametrize(("flags", "expected"), TRAIN_CASES.items())
def test_training_flags(flags, expected, tmp_path):
    overrides = translate(["train.py", *flags.split()]).overrides
    assert set(expected) <= set(overrides)
    typed(compose([*overrides, f"data.root={tmp_path}"]), "train")


@pytest.mark.parametrize(
    ("flags", "note"),
    [
        ("--reader_buf_size=4000", "--reader_buf_size: dropped"),
        ("--total_images=1000", "--total_images: dropped"),
        ("--fuse_bn_act_ops=true", "--fuse_bn_act_ops: dropped"),
        ("--model=ResNet50 --padding_type=SAME", "--padding_type: dropped, only efficientnet networks"),
        ("--model=GoogLeNet --use_label_smoothing=1", "--use_label_smoothing: dropped, the original ignored it"),
        ("--lr_strategy=cosine_decay --step_epochs 30 60", "--step_epochs: dropped, cosine_decay did not read it"),
        ("--lr_strategy=adam_decay --l2_decay=0.1", "--l2_decay: dropped, adam_decay did not read it"),
        ("--model=InceptionV4", "transform.size=224: as the old command had it"),
        ("--profiler_path=profile/", "--profiler_path: dropped, the profile is in"),
    ],
)
def test_what_lost_its_meaning_is_said(flags, note, tmp_path):
    translation = translate(["train.py", *flags.split()])
    assert [text for text in translation.notes if text.startswith(note)]
    typed(compose([*translation.overrides, f"data.root={tmp_path}"]), "train")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("python main.py --lr=1", "names none of train.py, eval.py"),
        ("train.py --batchsize=8", "train.py had no flag '--batchsize'. Did you mean --batch_size"),
        ("train.py --image_shape=3 224 224", "train.py had no flag '224'"),
        ("train.py --lr=fast", "argument --lr: invalid float value: 'fast'"),
        ("train.py --use_mixup=maybe", "argument --use_mixup: 'maybe' is neither true nor false"),
        ("train.py --lr", "argument --lr: expected one argument"),
        ("train.py --model=ResNet50_v", "There is no model 'ResNet50_v'. Did you mean resnet50_vd"),
        ("train.py --lr_strategy=cosine", "There was no lr_strategy 'cosine'. Did you mean cosine_decay"),
        ("train.py --image_shape 3 224 256", "--image_shape [3, 224, 256]: must be 3 and two equal numbers"),
        ("train.py --interpolation=9", "--interpolation 9: must be one of"),
        ("eval.py --model=ResNet50", "needs --pretrained_model"),
        ("predict.py --model_file=a/x --params_file=a/y --image_path=p", "put the two into one directory"),
        ("predict.py --model_file=/a/model --params_file=/a/params --image_path=p", "a directory named for the model"),
        ("ema_clean.py --ema_model_dir=a", "needs --cleaned_model_dir"),
    ],
)
def test_mistakes_are_answered(words, message):
    with pytest.raises(TranslationError) as error:
        translate(words.split())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (
            "python eval.py --model=ResNet50_ACNet --deploy=True --pretrained_model=w --data_dir=d --class_dim=10",
            "python -m imgcls.eval model=resnet50_acnet eval.source=w data=list data.root=d data.num_classes=10 "
            "eval.batch_size=256 eval.num_workers=8 model.args.deploy=true",
        ),
        (
            "python infer.py --model=ResNet50 --pretrained_model=w --image_path=a.jpg --topk=3 --use_gpu=0",
            "CUDA_VISIBLE_DEVICES='' python -m imgcls.predict model=resnet50 predict.source=w predict.input=a.jpg "
            "predict.topk=3 predict.batch_size=8 predict.num_workers=1",
        ),
        (
            "python infer.py --model=ResNet50 --pretrained_model=w --save_inference=True --class_dim=5",
            "python -m imgcls.export model=resnet50 export.source=w export.dir=ResNet50 model.num_classes=5",
        ),
        (
            "python predict.py --model_file=ResNet50/model --params_file=ResNet50/params --image_path=a.jpg --gpu_id=1",
            "CUDA_VISIBLE_DEVICES=1 python -m imgcls.predict model=resnet50 predict.source=ResNet50 "
            "predict.input=a.jpg",
        ),
        (
            "python ema_clean.py --ema_model_dir=output/ResNet50/9 --cleaned_model_dir=clean",
            "python -m imgcls.convert model=resnet50 convert.source=output/ResNet50/9 convert.output=clean "
            "convert.weights=averaged",
        ),
    ],
)
def test_other_programs(words, command, tmp_path):
    translation = translate(words.split())
    assert translation.command == command
    root = [f"data.root={tmp_path}"] if "data.root=d" in translation.overrides else []
    typed(compose([*translation.overrides, *root], translation.program), translation.program)


@pytest.mark.parametrize(
    "value",
    [
        "plain/path",
        "with blank",
        "it's",
        "a\\",
        "back\\'slash",
        "a,b",
        "[x]",
        "{y}",
        "a=b",
        "null",
        "True",
        "12",
        "",
        "é",
    ],
)
def test_values_survive_shell_and_hydra(value):
    translation = translate(["train.py", f"--pretrained_model={value}", "--data_dir", "d"])
    words = shlex.split(translation.command)
    pretrained = compose(words[words.index("imgcls.train") + 1 :]).model.pretrained
    assert pretrained == value
    assert isinstance(pretrained, str)
    assert compose([f"model.exclude={hydra_value([value, 'fc'])}"]).model.exclude == [value, "fc"]


def test_as_a_program():
    def run(*words: str) -> subprocess.CompletedProcess:
        # -I: neither this library nor anything installed for the user
        code = f"import sys, runpy; sys.path.insert(0, {str(SCRIPT.parent)!r}); sys.argv[:] = {[str(SCRIPT), *words]!r}"
        code += f"; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
        return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)

    good = run("python", "train.py", "--model=ResNet50", "--total_images=10")
    assert (good.returncode, good.stdout.startswith("python -m imgcls.train model=resnet50 ")) == (0, True)
    assert good.stderr == "note: --total_images: dropped, the pictures are counted.\n"
    bad = run("train.py", "--nope=1")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: train.py had no flag '--nope'.")


def test_a_translated_prediction_runs(run_program, tmp_path):
    weights = REFERENCE / "fluid_checkpoint" / "MobileNetV1_x0_25_pretrained"
    photos = ROOT / "imgcls" / "assets" / "sample_photos" / "val" / "tool"
    old = ["infer.py", "--model=MobileNetV1_x0_25", f"--pretrained_model={weights}", f"--data_dir={photos}"]
    translation = translate([*old, "--topk=2", "--batch_size=4"])
    run_program(translation.program, *translation.overrides, "run.name=translated", cwd=tmp_path)
    answers = (tmp_path / "outputs" / "translated" / "predictions.jsonl").read_text().splitlines()
    assert len(answers) == len(list(photos.iterdir()))
