"""What is typed on a command line is what the configuration holds, or one message says how it is typed."""

import json
import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from locations import ROOT
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from imgcls.app.composition import composed
from imgcls.app.conf import conf_directory, groups, known_rows
from imgcls.app.keys import SCHEMAS
from imgcls.app.model_group import register_sources
from imgcls.app.overrides import as_typed, canonical
from imgcls.app.program import typed, user_message
from imgcls.app.quoting import quoted, split, unquoted
from imgcls.app.spellings import CHOICES, KEYS, OLD_FLAGS
from imgcls.errors import UserError, listed
from imgcls.functional.schedules import build_schedule
from imgcls.machine.files import sha256

sys.path.insert(0, str(ROOT / "scripts"))
from original_flags import FLAGS

NAMES = [
    "我的照片",
    "宠物",
    "photo (1).jpg",
    "a&b.jpg",
    "it's.jpg",
    "IMG_1~2.jpg",
    "a=b.jpg",
    "a,b.jpg",
    "[x].jpg",
    "{a,b}",
    "[a,b]",
    "$HOME",
    "50% #1",
    "🐈‍⬛",
    " x ",
    "a\\b\\",
    "\\",
    'say "hi"',
    "l'été d'\\'",
    "a:b",
    "007",
    "1e3",
    "null",
    "None",
    "true",
    "choice(a)",
    "~",
    "+x",
    "-x",
    "!",
    "*",
    "a\nb",
    "",
]


def compose(*arguments: str, program: str = "train"):
    register_sources()
    with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
        return hydra.compose(program, overrides=canonical(list(arguments), program))


def message(*arguments: str, program: str = "train") -> str:
    """What a command is refused with."""
    with pytest.raises((UserError, HydraException, OmegaConfBaseException)) as error:
        typed(compose(*arguments, program=program), program)
    return user_message(error.value, program)


def random_texts(count: int) -> list[str]:
    """Texts of what means something to a shell, to Hydra or to OmegaConf, without ``${`` and quotes round all."""
    pieces = [*"abz019\\\\\\'\"'$ ,=[](){}:#%~&*?!@|<>;+-._/", "我", "é", "🐈", "\t", "\n", "null", "true"]
    picker = random.Random(0)
    texts = ["".join(picker.choices(pieces, k=picker.randint(1, 9))) for _ in range(count)]
    return [text for text in texts if "${" not in text and unquoted(text) == text and text != "???"]


def test_quotes_are_read_by_hydra_as_what_was_put_into_them():
    parser = OverridesParser.create()
    for text in [*NAMES, *random_texts(1500)]:
        assert parser.parse_override(f"x={quoted(text)}").value() == text
        assert unquoted(quoted(text)) == text


TEXT_KEYS = ("run.name", "run.root", "predict.source", "predict.input", "data.root", "data.class_map", "data.val_list")


def test_names_come_out_of_the_composition_as_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    texts = [text for text in [*NAMES, *random_texts(60)] if text not in ("null", "~", "[a,b]")]
    while texts:
        given = dict(zip(TEXT_KEYS, texts, strict=False))
        config = compose(*(f"{key}={text}" for key, text in given.items()), program="predict")
        assert {key: OmegaConf.select(config, key) for key in given} == given
        texts = texts[len(TEXT_KEYS) :]


def test_names_come_out_of_canonical_as_typed(monkeypatch, tmp_path):
    """What the composition is given, without the time that composing takes."""
    monkeypatch.chdir(tmp_path)
    parser = OverridesParser.create()
    for text in [*NAMES, *random_texts(1000)]:
        (word,) = canonical([f"run.name={text}"], "train")
        assert parser.parse_override(word).value() == text
        assert as_typed(word) == ("run.name", text)
        assert canonical([word], "train") == [word]


def test_sweeps_are_divided_at_commas_only(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()

    def values(override: str) -> list[str]:
        *_, word = canonical(["-m", override], "train")
        parsed = OverridesParser.create().parse_override(word)
        if not parsed.is_sweep_override():
            return [parsed.value()]
        return [OverridesParser.create().parse_override(f"x={one}").value() for one in parsed.sweep_string_iterator()]

    assert values("data.root=我的 照片") == ["我的 照片"]
    assert values("data.root=我的 照片,it's,(1)") == ["我的 照片", "it's", "(1)"]
    assert values("data.root=a,b") == ["a,b"]
    assert values("data.root=c,d") == ["c", "d"]
    assert values("run.name='c,d',e") == ["c,d", "e"]
    assert values("run.name=choice(c,d)") == ["c", "d"]
    assert values("model.freeze=head,stem") == [["head"], ["stem"]]
    assert values("model.freeze=[head,stem],[head]") == [["head", "stem"], ["head"]]
    assert values("callbacks.mixup.enabled=true,false") == [True, False]
    assert values("model=ResNet18,VGG16") == ["resnet18", "vgg16"]
    for text in random_texts(300):
        if not {",", "(", "\\"} & set(text):
            assert values(f"data.root=x{text},y") == [f"x{text}", "y"]


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("run.name='宠物'", "run.name", "宠物"),
        ("run.name=猫-${model.name}", "run.name", "猫-squeezenet1_1"),
        ("data.root=null", "data.root", None),
        ("model.pretrained=True", "model.pretrained", True),
        ("model.pretrained=weights (1).pdparams", "model.pretrained", "weights (1).pdparams"),
        ("model.freeze=features", "model.freeze", ["features"]),
        ("model.exclude=fc,*bn*", "model.exclude", ["fc", "*bn*"]),
        ("model.exclude=[fc, 'a,b']", "model.exclude", ["fc", "a,b"]),
        ("transform.scale=0.5,1.0", "transform.scale", [0.5, 1.0]),
        ("callbacks.ema=on", "callbacks.ema.enabled", True),
        ("+callbacks.mixup=on", "callbacks.mixup.enabled", True),
        ("callbacks.mixup=true", "callbacks.mixup.enabled", True),
        ("callbacks.nan_guard=false", "callbacks.nan_guard.enabled", False),
        ("trainer.profiler=yes", "trainer.profiler.enabled", True),
        ("model.args.name=我的", "model.args.name", "我的"),
        ("optimizer.lr=1e-3", "optimizer.lr", 0.001),
        ("+trainer.epochs=3", "trainer.epochs", 3),
        ("+experiment=resnet50", "optimizer.lr", 0.1),
        ("experiment=ResNet50", "optimizer.lr", 0.1),
        ("experiment=linear-probe", "probe.enabled", True),
        ("optimizer=AdamW", "optimizer.name", "adamw"),
        ("lr_schedule=Cosine-Step", "lr_schedule.name", "cosine_step"),
        ("debug=null", "trainer.epochs", 10),
        ("model.freeze=null", "model.freeze", []),
        ("model.args={dropout:0.5}", "model.args.dropout", 0.5),
        ("data.root=我的照片", "data.name", "folder"),
        ("data.root=ImageNet", "data.name", "list"),
        ("data.root=a.ZIP", "data.name", "zip"),
        (os.fsdecode(b"data.root=caf\xe9 1"), "data.root", os.fsdecode(b"caf\xe9 1")),
    ],
)
def test_what_has_one_meaning_works(override, key, value, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ImageNet").mkdir()
    for name in ("ImageNet/train_list.txt", "a.ZIP"):
        (tmp_path / name).touch()
    config = compose(override)
    for part in key.split("."):
        config = config[part]
    assert config == value


def test_the_home_directory_and_what_is_called_like_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home = Path.home()
    assert compose("data.root=~/我的照片").data.root == str(home / "我的照片")
    assert compose("run.name=~/x").run.name == "~/x", "no path"
    (tmp_path / "~x").mkdir()
    assert compose("data.root=~x").data.root == "~x"
    with composed("verify", (), {"data": {"name": "folder", "root": "~"}}) as (config, _):
        assert config.data.root == str(home)


def test_a_list_in_brackets_unless_a_file_is_called_so(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = "predict.input=[a (1).jpg, it's.jpg]"
    assert compose(given, program="predict").predict.input == ["a (1).jpg", "it's.jpg"]
    (tmp_path / "[a (1).jpg, it's.jpg]").touch()
    assert compose(given, program="predict").predict.input == "[a (1).jpg, it's.jpg]"


def test_words_without_a_key(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.jpg").touch()
    assert compose("我 (1).jpg", program="predict").predict.input == "我 (1).jpg"
    given = ["a=b.jpg", "it's.jpg", "x,y.jpg", "predict.topk=1"]
    assert compose(*given, program="predict").predict.input == ["a=b.jpg", "it's.jpg", "x,y.jpg"]
    assert compose("outputs/宠物", program="eval").eval.source == "outputs/宠物"
    assert compose("outputs/宠物", "export.dir=x", program="export").export.source == "outputs/宠物"
    assert (
        compose("old", "new.pdparams", program="convert").convert
        == compose("convert.source=old", "convert.output=new.pdparams", program="convert").convert
    )
    for what in ("train", "trainer", "model", "inference", "latency", "auto", "predict", "loader"):
        config = compose(what, "model=resnet18", program="benchmark")
        assert (config.benchmark.what, config.model.name) == (what, "resnet18")


MISTAKES = {
    "--model resnet50": "Write model=resnet50",
    "--model=ResNet50": "Write model=ResNet50",
    "-model x": "Write model=x",
    "--batch_size=32": "Write trainer.batch_size=32",
    "--batch-size 32": "Write trainer.batch_size=32",
    "--lr_strategy=piecewise_decay": "Write lr_schedule=piecewise",
    "--use_mixup": "Write callbacks.mixup.enabled=true",
    "--data_dir=photos": "Write data.root=photos",
    "--total_images=100": "not needed any more",
    "--nonsense=1": "There is no option --nonsense=1",
    "photos": "Write data=folder data.root=photos",
    "resnet50": "Write model=resnet50",
    "outputs/pets": "run.name=pets trainer.resume=auto",
    "data=folder data.root=my photos": 'data.root="my photos"',
    "data=photos/": "data=folder data.root=photos/",
    "data=相片": "data=folder data.root=相片",
    "model=weights.pdparams": "model.pretrained=weights.pdparams",
    "optimizer=sgd": "Write optimizer=momentum",
    "optimizer=优化": "There is no optimizer=优化",
    "lr_schedule=step": "Write lr_schedule=piecewise",
    "transform=none": "transform.flip=0",
    "debug=true": "Write debug=fast",
    "callbacks=mixup": "Write callbacks.mixup.enabled=true",
    "callbacks.mixup=0.2": "callbacks.mixup.alpha (a number, at least 0)",
    "trainer.amp=true": "trainer.amp.level (one of O0, O1, O2)",
    "trainer.amp.level=1": "trainer.amp.level=1: must be one of O0, O1, O2",
    "trainer.gpus=all": "trainer.gpus=all: must be a whole number",
    "trainer.gpus=0,1": "trainer.gpus must be a whole number, at least 0, or null. It says how many",
    "trainer.topk=5": "trainer.topk=5: must be a list in brackets, of positive numbers, such as [1,5]",
    "trainer.epochs=ten": "trainer.epochs=ten: must be a whole number, at least 1",
    "trainer.epochs=1.5": "trainer.epochs=1.5: must be a whole number",
    "trainer.epochs=十": "trainer.epochs=十: must be a whole number",
    "trainer.epochs=": "trainer.epochs=: must be a whole number",
    "trainer.epochs": "Write trainer.epochs=",
    "trainer.epochs:5": "write trainer.epochs=5",
    "trainer.epochs= 5": "Write trainer.epochs=5",
    "trainer.epochs = 5": "without blanks round the equals sign",
    "trainer.epochs＝5": "Write trainer.epochs=5",
    "trainer.epochs=1,2": "a sweep, with -m",
    "trainer.deterministic=maybe": "must be true or false",
    "model=resnet18,resnet50": "with -m in front",
    "model.num_classes=many": "model.num_classes=many: must be a whole number, at least 1, at most 1,000,000, or null",
    "transform.scale=0.5": "must be a list in brackets, of two positive numbers, the smaller first, such as [0.5,1.0]",
    "transform.mean=[a,b,c]": "transform.mean=[a, b, c]: must be a list",
    "callbacks.extra=[{a": "callbacks.extra=[{a: cannot be read",
    "model=resnet18 model=resnet50": "model=... is given 2 times",
    "lr=0.1": "Write optimizer.lr=0.1",
    "epochs=5": "Write trainer.epochs=5",
    "batch_size=32": "Write trainer.batch_size=32",
    "amp=true": "Write trainer.amp.level=O1",
    "--use_fp16=True": "Write trainer.amp.level=O1",
    "data=": "data has no value",
    "mixup=true": "Write callbacks.mixup.enabled=true",
    "trainer.epohs=5": "Did you mean 'epochs'",
    "run=pets": "run.name (a text)",
    "-b 32": "Write trainer.batch_size=32",
    "-j 4": "Write trainer.num_workers=4",
    "-c config.yaml": "A recipe is experiment=<name>",
    "--cfg": "--cfg has no value",
    "-o Global.epochs=10": "write trainer.epochs=10",
    "-i a.jpg": "There is no option -i",
    "-": "nothing is read from standard input",
    "--mixup 0.2": "Write callbacks.mixup=on, and 0.2 as one of callbacks.mixup.alpha",
    "--device cpu": "Write trainer.gpus=0",
    "--amp": "Write trainer.amp.level=O1",
    "Global.epochs=10": "Write trainer.epochs=10",
    "Arch.name=ResNet50": "Write model=ResNet50",
    "Optimizer.lr.learning_rate=0.1": "Write optimizer.lr=0.1",
    "data=null": "There is no data=null: there must be one of folder",
    "~callbacks.ema": "a key cannot be taken away. Write callbacks.ema=off",
    "~trainer.max_steps": "Write trainer.max_steps=null",
    "--resolve": "--resolve goes with --cfg job",
    "hydra.nonsense=1": "There is no key 'nonsense' in 'hydra'",
    "data=photos.zip": "write data=zip data.root=photos.zip",
    "data=all.csv": "write data=list data.root=. data.train_list=all.csv",
    "data.root= data=folder": "data.root is empty: name a path, or leave it out",
    "data=folder data.root=all.csv": "data.root=all.csv: that is a file, and a directory is wanted",
    "run.root=": "run.root is empty",
    "trainer.epochs=99999999999999999999": "must be at most",
    "data.worker_timeout=1000000000": "data.worker_timeout=1000000000: must be at most 2,000,000",
    "data.max_decode_seconds=1e15": "must be at most 2,000,000",
    "transform.size=100000": "transform.size=100000: must be at most 8,192",
    "optimizer.weight_decay=inf": "optimizer.weight_decay=inf: must be a finite number",
    "trainer.monitor=acc": "Write top1. There are: loss, top1, top5",
    "trainer.monitor=macro-f1": "Write macro_f1",
    "model=vit": "Did you mean 'vit_",
    "trainer.processes=1.5": "trainer.processes=1.5: must be at least 1, a whole number or auto",
    "run.name=${HOME}": "the reference to 'HOME' leads nowhere",
    "run.name=${HOME": "'}' is missing",
    "run.name=???": "no value",
    "lr_schedule.boundaries=[30]": "It belongs to lr_schedule=piecewise",
    "experiment=resnet5": f"and {len([*(ROOT / 'conf' / 'experiment').glob('*.yaml')]) - 10} more",
    "lr_schedule.warmup_epochs=5 trainer.epochs=5": "lr_schedule.warmup_epochs=5: must be less than trainer.epochs=5",
}
PARSERS_WORDS = (
    "Lexer",
    "mismatched",
    "ListConfig",
    "DictConfig",
    "ConfigKey",
    "full_key",
    "Integer",
    "See https",
    "Omega",
)


@pytest.mark.parametrize("line", MISTAKES)
def test_one_message_names_the_key_and_the_right_spelling(line, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for directory in ("photos", "my photos", "outputs/pets/checkpoints"):
        (tmp_path / directory).mkdir(parents=True)
    for name in ("photos.zip", "all.csv"):
        (tmp_path / name).touch()
    said = message(*line.split(" "))
    assert MISTAKES[line] in said
    assert not [word for word in PARSERS_WORDS if word in said]
    assert "\n" not in said


def test_mistakes_in_python_are_answered_alike():
    for sections, expected in (
        ({"trainer": {"epochs": "ten"}}, "trainer.epochs=ten: must be a whole number"),
        ({"transform": {"scale": 0.5}}, "transform.scale=0.5: must be a list in brackets"),
        ({"trainer": {"epohs": 5}}, "Did you mean 'epochs'"),
        ({"optimizer": "sgd"}, "Write optimizer=momentum"),
    ):
        with pytest.raises(UserError) as error, composed("train", (), sections):
            pass
        assert expected in str(error.value)
    given = {"run": {"name": "我的, '照片'"}, "callbacks": {"mixup": True}, "model": {"freeze": "features"}}
    with composed("train", (), given) as (config, directory):
        assert config.callbacks.mixup.enabled
        assert config.model.freeze == ["features"]
        assert config.run.name == "我的, '照片'"
        assert directory == Path("outputs") / "我的, '照片'"


def test_flags_of_other_programs_name_their_own_keys():
    for program, word, expected in (
        ("predict", "--weights=best.pt", "Write predict.source=best.pt"),
        ("predict", "--weights=ema", "Write predict.weights=ema"),
        ("predict", "--output=out", "Write run.root=out"),
        ("predict", "-i=a.jpg", "Write predict.input=a.jpg"),
        ("eval", "--checkpoint=x", "Write eval.source=x"),
        ("eval", "--resume=x", "Write eval.source=x"),
        ("predict", "Global.infer_imgs=a.jpg", "Write predict.input=a.jpg"),
    ):
        assert expected in message(word, program=program), word


def test_words_for_nothing(monkeypatch, tmp_path, ask):
    (tmp_path / "outputs" / "宠物" / "checkpoints" / "last").mkdir(parents=True)
    (tmp_path / "a.txt").touch()
    for program, words, expected in (
        ("train", ["trainer.resume=auto"], "add run.name=<its name>"),
        ("train", ["trainer.resume=None"], "Leave it out to begin anew"),
        ("train", ["trainer.resume=outputs/宠物"], "To go on with it write run.name=宠物 trainer.resume=auto"),
        ("train", ["trainer.resume=outputs/宠物/checkpoints"], "name one of them, as outputs/宠物/checkpoints/last"),
        ("train", ["model.pretrained=none"], "For random weights write model.pretrained=null"),
        ("train", ["model.pretrained=https://there/x.pth"], "Download the file first"),
        ("train", ["model.pretrained=~nobody_here/x"], "There are no weights at ~nobody_here/x"),
        ("eval", ["ResNet50"], "write model=ResNet50 model.pretrained=true"),
        ("predict", ["predict.input="], "predict.input is empty"),
        ("predict", ["predict.input=[]"], "No pictures are given"),
        ("predict", ["https://there/x.jpg?size=1"], "is an address: download the picture"),
        ("predict", ["x.jpg", "predict.sort_to="], "predict.sort_to is empty"),
        ("convert", ["outputs", "a.txt/new.pdparams"], "a.txt is a file, not a directory"),
    ):
        answer = ask(program, *words, cwd=tmp_path)
        assert (answer.returncode, answer.stdout) == (2, ""), words
        assert expected in answer.stderr, answer.stderr


def test_a_configuration_of_ones_own_may_name_the_run_that_goes_on(tmp_path, ask):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    file = tmp_path / "mine" / "experiment" / "named.yaml"
    file.write_text("# @package _global_\nrun:\n  name: named\n", encoding="utf-8")
    words = ("--config-dir", "mine", "experiment=named", "trainer.resume=auto", "trainer.batch_size=0")
    answer = ask("train", *words, cwd=tmp_path)
    assert "trainer.batch_size=0" in answer.stderr
    assert "run.name" not in answer.stderr


def test_the_version_is_that_of_what_computes(ask, tmp_path):
    answer = ask("predict", "--version", cwd=tmp_path)
    assert answer.returncode == 0
    assert "numpy" in answer.stdout


def test_every_old_flag_points_to_a_key():
    programs = {"infer.py": "predict", "ema_clean.py": "convert"}
    for program, flags in FLAGS.items():
        for name, flag in flags.items():
            if flag.key and name in OLD_FLAGS:
                assert OLD_FLAGS[name] == flag.key, (program, name)
            said = message(f"--{name}=1", program=programs.get(program, program.removesuffix(".py")))
            assert "Write " in said or "not needed" in said, said


def test_other_words_lead_to_what_there_is():
    programs = ("train", "predict", "convert")
    there = {key for program in programs for key in (*known_rows(program), *groups(program))}
    there |= {
        "model.args.dropout",
        "model.args.drop_path",
        "model.args.in_channels",
        *(f"model.args.{flag}" for flag in OLD_FLAGS),
    }
    assert set(KEYS.values()) | set(OLD_FLAGS.values()) <= there
    for group, words in CHOICES.items():
        assert set(words.values()) <= set(groups("train")[group])
        assert not set(words) & set(groups("train")[group])


def test_hydras_own_flags_pass():
    given = ["--cfg", "job", "--package", "trainer", "-m", "--info", "all", "--resolve", "hydra.verbose=true", "~debug"]
    assert canonical([*given, "model=ResNet18"], "train") == [*given[:8], *given[8:], "model=resnet18"]
    of_another = ["--config-dir", "mine", "data=my_own", "extra.key=1"]
    assert canonical(of_another, "train") == of_another
    assert canonical(["hydra.run.dir=我的/${model.name}"], "train") == ["hydra.run.dir='我的/${model.name}'"]


def test_parts_between_commas():
    assert split("a b,'c,d', ${oc.env:X,y},it's") == ["a b", "'c,d'", " ${oc.env:X,y}", "it's"]
    assert listed(range(11)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 1 more"
    assert listed(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def recipes() -> list:
    """Every recipe; without ``--full`` those with a warm-up, which a run of one update has no time for."""
    files = sorted((conf_directory() / "experiment").glob("*.yaml"))
    quick = [path for path in files if "warmup" in path.read_text(encoding="utf-8") or path.stem == "resnet50_vd"]
    return [pytest.param(path.stem, marks=() if path in quick else pytest.mark.full) for path in files]


@pytest.mark.parametrize("recipe", recipes())
def test_debug_goes_with_every_recipe(recipe):
    config = typed(compose(f"experiment={recipe}", "debug=fast", "data=synthetic"), "train")
    assert (config.trainer.epochs, config.trainer.batch_size, config.trainer.max_steps) == (1, 4, 1)
    rate = build_schedule(base_lr=config.optimizer.lr, steps_per_epoch=10, epochs=1, **config.lr_schedule)
    assert rate(0) > 0


def test_made_up_pictures_need_no_directory(tmp_path):
    assert typed(compose("data=synthetic", "data.root=nowhere"), "train").data.root == "nowhere"
    assert "there is no such directory" in message("data=folder", "data.root=nowhere")


WITHOUT_PADDLE = {
    "train run.name=宠物": "already holds a run",
    "train run.name=宠物 trainer.resume=auto optimizer.lr=0.5": "optimizer.lr: was 0.003, is 0.5",
    "train trainer.resume=true": "Write auto",
    "train data=list data.root=data data.class_map=no.txt": "data.class_map=no.txt: there is no such file",
    "train data=list data.root=data": "data.train_list=train_list.txt: there is no such file",
    "train model.pretrained=imagenet": "write model.pretrained=true",
    "train model.pretrained=不/有.pdparams": "There are no weights at 不/有.pdparams",
    "train transform.scale=0.5": "must be a list in brackets",
    "eval": "eval.source is required",
    "eval outputs/nothing": "eval.source=outputs/nothing: there is no such run",
    "predict": "predict.input is required",
    "predict 照片.jpg": "There is nothing at",
    "predict data predict.source=gone": "predict.source=gone: there is no such run",
    "export outputs/nothing": "export.source=outputs/nothing: there is no such run",
    "export model=resnet50": "No weights are given for resnet50",
    "export export.dir=data": "data is left alone",
    "convert gone new.pdparams": "convert.source=gone: there is no such file",
    "convert data data": "convert.output=data exists already",
}
ASK = """
import contextlib, importlib, io, json, sys
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
answers = {}
for line in json.load(sys.stdin):
    program, *sys.argv[1:] = line.split(" ")
    main = importlib.import_module(f"imgcls.{program}").main
    state = Singleton.get_state()
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as end:
            status = end.code
    GlobalHydra.instance().clear()
    Singleton.set_state(state)
    answers[line] = (status, errors.getvalue(), "paddle" in sys.modules)
print(json.dumps(answers))
"""


def test_answers_that_need_no_paddle_do_not_wait_for_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").touch()
    checkpoint = tmp_path / "outputs" / "宠物" / "checkpoints" / "epoch-0001-step-00000008"
    checkpoint.mkdir(parents=True)
    config = typed(compose("run.name=宠物"), "train")
    (checkpoint / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    (checkpoint / "classes.txt").write_text("猫\n", encoding="utf-8")
    digests = {name: sha256(checkpoint / name) for name in ("config.yaml", "classes.txt")}
    (checkpoint / "manifest.json").write_text(json.dumps({"format": 1, "sha256": digests}))
    before = sorted(tmp_path.rglob("*"))
    result = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(list(WITHOUT_PADDLE)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    for line, (status, said, with_paddle) in json.loads(result.stdout).items():
        assert (status, with_paddle) == (2, False), (line, said)
        assert WITHOUT_PADDLE[line] in said
        assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before, "a refused command leaves nothing behind"


def test_the_program_itself_takes_names_as_typed(run_program, tmp_path):
    """Once the whole way, in a sweep, with a data set whose directory has blanks and commas."""
    root = tmp_path / "我的 照片, (1)"
    for name in ("train/cat's", "train/狗", "val/cat's", "val/狗"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(root / name / "a=b,#1.jpg")
    given = ["data=folder", f"data.root={root.name}", "run.name=it's 宠物", "model.freeze=features", "debug=fast"]
    run_program("train", "-m", *given, "optimizer.lr=0.1,0.2", "hydra.sweep.dir=swept", cwd=tmp_path)
    for job, lr in enumerate((0.1, 0.2)):
        config = yaml.safe_load((tmp_path / "swept" / f"job-{job}" / "config.yaml").read_text(encoding="utf-8"))
        assert (config["data"]["root"], config["run"]["name"]) == (root.name, "it's 宠物")
        assert (config["model"]["freeze"], config["optimizer"]["lr"]) == (["features"], lr)
    pictures = [f"{root.name}/val/cat's/a=b,#1.jpg", f"{root.name}/val/狗/a=b,#1.jpg"]
    run_program("predict", *pictures, "run.name=答 案", cwd=tmp_path)
    lines = (tmp_path / "outputs" / "答 案" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == pictures


def examples() -> list[tuple[str, str]]:
    """Each line of a program's help that is an example: what stands before two blanks."""
    lines = []
    for program in SCHEMAS:
        template = yaml.safe_load((conf_directory() / f"{program}.yaml").read_text(encoding="utf-8"))
        for line in template["hydra"]["help"]["template"].splitlines()[2:]:
            example = line.strip().partition("  ")[0]
            if "=" in example and not re.search(r"[.:;,] |[.;]$", example):
                lines.append((program, example))
    return lines


def test_the_examples_of_help_work_as_typed():
    """No example says what Hydra or the shell wants to have otherwise."""
    given = examples()
    assert {program for program, _ in given} == set(SCHEMAS)
    for program, example in given:
        assert not set("[]{}<>$") & set(example), f"a shell reads {example} in its own way"
        assert canonical(shlex.split(example), program)
