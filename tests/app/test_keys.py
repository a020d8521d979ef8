"""The rows of the keys: every line of conf/ has one, wrong values are refused, a resumed run may change some."""

import inspect
import re
import subprocess
import sys
from functools import cache

import hydra
import pytest
import yaml
from locations import ROOT
from omegaconf import DictConfig, OmegaConf

from imgcls.app.combinations import check
from imgcls.app.keys import SCHEMAS, Train
from imgcls.app.model_group import register_sources
from imgcls.app.program import conf_directory, typed
from imgcls.app.resume import config_hash, require_same_run
from imgcls.app.rows import problems, rows
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.list_file import read_list
from imgcls.data.pictures import decode
from imgcls.errors import UserError

CONF = conf_directory()
REQUIRED = {
    "predict": ["predict.input=photo.jpg"],
    "convert": ["convert.source=old", "convert.output=new.pdparams"],
    "compare": ["compare.runs=[outputs/a]"],
    "search": ["search.what=build", "search.source=."],
}


@cache
def composed(program: str, *overrides: str) -> DictConfig:
    register_sources()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return typed(hydra.compose(program, overrides=[*REQUIRED.get(program, ()), *overrides]), program)


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    found = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found


def lines_of_conf() -> set[str]:
    """Every key that a file of conf/ gives a value."""
    found = set()
    for path in CONF.rglob("*.yaml"):
        lines = yaml.safe_load(path.read_text())
        content = {name: value for name, value in lines.items() if name not in ("defaults", "hydra")}
        group = path.parent.relative_to(CONF).as_posix().strip(".") or path.stem.removesuffix("_base")
        of_group = group in Train.__dataclass_fields__ and path.stem != group
        found |= flat(content, f"{group}." if of_group else "").keys()
    return found


def test_every_key_has_a_row_and_every_row_a_line():
    known = {key for schema in SCHEMAS.values() for key in rows(schema)}
    # The group of models is made from the catalogue; what a network takes beside is its own.
    lines = {key for key in lines_of_conf() if not key.startswith("model.")}
    assert lines == {key for key in known if not key.startswith("model.")}


def test_limits_of_the_readers_are_those_of_the_commands():
    data = composed("train").data
    assert data.max_pixels == decode.MAX_PIXELS
    for function in (read_list, build_samples):
        assert data.check_files == inspect.signature(function).parameters["check_files"].default


def test_the_example_of_the_docs_is_in_the_code():
    page = (ROOT / "docs" / "adding_an_option.md").read_text()
    examples = re.findall(r"```\w+\n(.*?)```", page, re.DOTALL)
    files = ("imgcls/app/keys.py", "conf/callbacks/default.yaml", "imgcls/callbacks/ema.py")
    for example, file in zip(examples, files, strict=True):
        assert f"`{file.removesuffix('callbacks/default.yaml')}`" in page
        assert example in (ROOT / file).read_text()


def test_a_command_is_checked_before_anything_heavy_is_loaded():
    program = "import sys, imgcls.app.program; print({'paddle', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


AT_LEAST = {
    0.1: "data.max_decode_seconds",
    0: """data.max_errors transform.randaugment.num_layers optimizer.lr optimizer.weight_decay
        optimizer.head_lr_multiplier optimizer.grad_clip_norm lr_schedule.warmup_epochs callbacks.cutmix.alpha
        callbacks.mixup.alpha trainer.num_workers trainer.gpus trainer.node_rank trainer.max_restarts
        trainer.save_every_steps trainer.seed trainer.profiler.start trainer.amp.min_scale trainer.eval_every
        data.val_seed eval.num_workers
        search.outlier
        verify.min_size verify.num_workers predict.num_workers predict.gpu_id benchmark.warmup benchmark.num_workers""",
    1: """model.num_classes model.input_size data.num_classes data.train_size data.val_size data.max_pixels
        data.worker_timeout data.cache_mb transform.size transform.resize_size optimizer.base_batch_size
        callbacks.cutmix.stop_epoch callbacks.mixup.stop_epoch trainer.epochs trainer.batch_size
        trainer.eval_batch_size trainer.processes trainer.nodes trainer.accumulate trainer.max_steps
        trainer.rank_timeout trainer.save_every trainer.keep_checkpoints trainer.log_every trainer.same_batch
        trainer.profiler.steps trainer.amp.scale_loss trainer.amp.max_skipped eval.batch_size predict.topk
        predict.batch_size predict.threads predict.gpu_mem preview.epoch preview.count benchmark.batch_size
        benchmark.steps benchmark.repeats search.topk search.shown""",
}
BETWEEN = {
    (0, 1): """transform.flip optimizer.momentum callbacks.random_erasing.probability callbacks.cutmix.switch_prob
        callbacks.label_smoothing.epsilon callbacks.ema.decay search.duplicate""",
    (0, 10): "transform.randaugment.magnitude",
    (0, 180): "transform.rotation",
}
ONE_OF = {
    "model.data_format": "NCHW, NHWC",
    "data.backend": "pillow, dali",
    "data.sampler": "shuffle, balanced",
    "loss.name": "cross_entropy, focal, bce, asymmetric, own",
    "data.check_files": "auto, all, sample, none",
    "data.on_error": "fail, skip",
    "data.cache": "ram",
    "transform.interpolation": "linear, cubic, nearest, area, lanczos",
    "lr_schedule.name": "constant, piecewise, cosine, cosine_step, exponential, linear, polynomial, plateau, own",
    "callbacks.random_erasing.fill": "noise, mean",
    "trainer.amp.level": "O0, O1, O2",
    "trainer.amp.dtype": "float16, bfloat16",
    "logger.name": "csv, tensorboard, visualdl, wandb, mlflow",
    "trainer.monitor_mode": "auto, min, max",
    "eval.split": "train, val",
    "eval.weights": "auto, network, ema",
    "eval.engine": "jit, inference, onnxruntime, openvino, auto",
    "predict.output": "classes, features",
    "predict.engine": "eager, jit, inference, onnxruntime, openvino, auto",
    "predict.mode": "latency, throughput",
    "predict.tensorrt": "fp32, fp16, int8",
    "predict.weights": "auto, network, ema",
    "export.input": "float, uint8",
    "export.output": "logits, probabilities, features",
    "export.format": "paddle, onnx, openvino",
    "export.quantize": "int8",
    "export.weights": "auto, network, ema",
    "convert.weights": "parameters, averaged",
    "preview.split": "train, val",
    "benchmark.what": "train, trainer, model, inference, latency, auto, predict, loader",
    "benchmark.amp_dtype": "float16, bfloat16",
    "search.what": "build, query",
    "search.engine": "faiss, numpy",
}
PAIR, EMPTY = "must be two positive numbers, the smaller first.", "must name at least one."
OTHERS = [
    ("benchmark.processes", [1, 0], "benchmark.processes=0: must be at least 1."),
    ("benchmark.data", ["real", "none"], "benchmark.data=none: must be one of synthetic, real."),
    ("benchmark.precisions", ["O3"], "benchmark.precisions=O3: must be one of float32, O1, O2."),
    ("benchmark.data_formats", ["CHWN"], "benchmark.data_formats=CHWN: must be one of NCHW, NHWC."),
    *((f"benchmark.{key}", [], f"benchmark.{key}=[]: {EMPTY}") for key in ("data", "precisions", "data_formats")),
    *((f"benchmark.{key}", [], f"benchmark.{key}=[]: {EMPTY}") for key in ("compile", "processes")),
    ("transform.scale", [1.0, 0.5], f"transform.scale=[1.0, 0.5]: {PAIR}"),
    ("transform.ratio", [0.0, 1.0], f"transform.ratio=[0.0, 1.0]: {PAIR}"),
    ("callbacks.random_erasing.area", [0.1], f"callbacks.random_erasing.area=[0.1]: {PAIR}"),
    ("callbacks.random_erasing.area", [], f"callbacks.random_erasing.area=[]: {PAIR}"),
    (
        "callbacks.random_erasing.area",
        [0.1, 1.5],
        "callbacks.random_erasing.area=[0.1, 1.5]: must be shares of the image, at most 1.",
    ),
    ("callbacks.random_erasing.ratio", [3.0, 1.0], f"callbacks.random_erasing.ratio=[3.0, 1.0]: {PAIR}"),
    ("transform.mean", [0.5], "transform.mean=[0.5]: must be three numbers, for red, green and blue."),
    ("transform.std", [], "transform.std=[]: must be three numbers, for red, green and blue."),
    (
        "transform.color_jitter",
        [0.0, 0.0, 0.0, 0.6],
        "transform.color_jitter=[0.0, 0.0, 0.0, 0.6]: must be four numbers from 0 up, the last at most 0.5.",
    ),
    ("data.val_share", 1.0, "data.val_share=1.0: must be at least 0 and less than 1: 0.2 is a fifth."),
    ("data.val_share", -0.1, "data.val_share=-0.1: must be at least 0 and less than 1: 0.2 is a fifth."),
    ("transform.autoaugment", "imagnet", "transform.autoaugment=imagnet: must be false or imagenet."),
    ("transform.autoaugment", True, "transform.autoaugment=True: must be false or imagenet."),
    ("trainer.topk", [0, 5], "trainer.topk=[0, 5]: must be a list of positive numbers."),
    ("eval.topk", [], "eval.topk=[]: must be a list of positive numbers."),
    ("optimizer.lr", float("nan"), "optimizer.lr=nan: must be at least 0."),
]
REFUSED = [
    *((key, n - 1, f"must be at least {n}.") for n, keys in AT_LEAST.items() for key in keys.split()),
    *(
        (key, wrong, f"must be between {low} and {high}.")
        for (low, high), keys in BETWEEN.items()
        for key in keys.split()
        for wrong in (low - 1, high + 1)
    ),
    *((key, "other", f"must be one of {choices}.") for key, choices in ONE_OF.items()),
]


def changed(key: str, value: object) -> tuple[DictConfig, str]:
    """The defaults of a program that has the key, but for its value, and the program."""
    program = next(name for name, schema in SCHEMAS.items() if key in rows(schema))
    config = composed(program).copy()
    OmegaConf.update(config, key, value)
    return config, program


def refusal(config: DictConfig, program: str) -> list[str]:
    with pytest.raises(UserError) as error:
        check(config, program)
    return [line.strip() for line in str(error.value).splitlines()]


@pytest.mark.parametrize(("key", "value", "words"), REFUSED)
def test_a_value_out_of_bounds_or_choices_is_refused(key, value, words):
    config, program = changed(key, value)
    assert f"{key}={OmegaConf.select(config, key)}: {words}" in refusal(config, program)


@pytest.mark.parametrize(("key", "value", "line"), OTHERS)
def test_a_list_or_another_odd_value_is_refused(key, value, line):
    assert line in refusal(*changed(key, value))


LISTS = {
    "benchmark.compile": "of true and false, such as [false,true], name at least one",
    "benchmark.processes": "of whole numbers, such as [1,2], at least 1",
    "benchmark.networks": "of texts, such as [a,b], name at least one",
    "benchmark.data_formats": "of texts, such as [NCHW], one of NCHW, NHWC",
}


@pytest.mark.parametrize("key", LISTS)
def test_a_list_is_said_with_what_it_holds(key):
    assert rows(SCHEMAS["benchmark"])[key].must().startswith(f"be a list in brackets, {LISTS[key]}")


def test_every_key_says_what_it_must_be():
    told = [row.must() for schema in SCHEMAS.values() for row in rows(schema).values()]
    assert len(told) > 900
    assert all(words.startswith("be ") and "of another kind" not in words for words in told)


@pytest.mark.parametrize("program", SCHEMAS)
def test_what_conf_says_is_accepted(program):
    check(composed(program), program)


@pytest.fixture
def continued(tmp_path):
    """Go on with a run of the defaults, with some values changed."""
    before = OmegaConf.to_container(composed("train"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(before))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")

    def go_on(classes: str = "cat\ndog\n", **changes: object) -> None:
        now = OmegaConf.create(before)
        for key, value in changes.items():
            OmegaConf.update(now, key, value, force_add=True)
        require_same_run(tmp_path, {"config.yaml": OmegaConf.to_yaml(now), "classes.txt": classes})

    return go_on


MAY_CHANGE = {
    "imports": ["my_module"],
    "run.name": "second",
    "run.root": "elsewhere",
    "run.lock": False,
    "model.pretrained": None,
    "model.pretrained_from": "timm",
    "model.exclude": ["head"],
    "data.root": "elsewhere",
    "data.class_map": "elsewhere",
    "data.check_files": "none",
    "data.allow_empty_classes": True,
    "data.on_error": "skip",
    "data.max_errors": 7,
    "data.max_decode_seconds": 7.0,
    "data.worker_timeout": 7,
    "callbacks.extra": [{"_target_": "mine.Callback"}],
    "callbacks.nan_guard.enabled": False,
    "callbacks.early_stopping.enabled": True,
    "callbacks.early_stopping.patience": 7,
    "callbacks.early_stopping.min_delta": 0.7,
    "trainer.epochs": 99,
    "trainer.max_steps": 99,
    "trainer.eval_batch_size": 7,
    "trainer.num_workers": 7,
    "trainer.gpus": 2,
    "trainer.processes": 2,
    "callbacks.pruning.enabled": True,
    "callbacks.pruning.min_jobs": 7,
    "callbacks.pruning.warmup_epochs": 7,
    "callbacks.pruning.keep": 0.7,
    "data.remote_timeout": 7.0,
    "data.remote_retries": 3,
    "data.remote_cache_gb": 7.0,
    "data.image_column": "photo",
    "data.label_column": "kind",
    "data.split_column": "part",
    "trainer.nodes": 2,
    "trainer.node_rank": 1,
    "trainer.master": "there:1234",
    "trainer.max_restarts": 7,
    "trainer.rank_timeout": 7.0,
    "trainer.eval_every": 7,
    "trainer.save_every": 7,
    "trainer.save_every_steps": 7,
    "trainer.keep_checkpoints": 7,
    "trainer.monitor": "top5",
    "trainer.monitor_mode": "min",
    "trainer.topk": [1],
    "trainer.metrics": ["macro_f1"],
    "trainer.log_every": 7,
    "trainer.resume": "auto",
    "trainer.profiler.enabled": True,
    "trainer.profiler.start": 1,
    "trainer.profiler.steps": 1,
    "trainer.amp.max_skipped": 7,
    "logger.name": "tensorboard",
    "logger.project": "pets",
}


@pytest.mark.parametrize("key", MAY_CHANGE)
def test_how_a_run_is_carried_out_may_change(key, continued):
    assert OmegaConf.select(composed("train"), key) != MAY_CHANGE[key]
    continued(**{key: MAY_CHANGE[key]})


@pytest.mark.parametrize("key", sorted(rows(Train).keys() - MAY_CHANGE.keys()))
def test_what_a_run_computes_may_not_change(key, continued):
    with pytest.raises(UserError) as error:
        continued(**{key: "other"})
    assert f"the configuration has changed: {key}: was " in str(error.value)
    assert "is other. Set the values back" in str(error.value)


def test_a_run_may_not_go_on_with_other_classes_or_another_network(continued):
    continued()
    with pytest.raises(UserError, match="the class names of the data"):
        continued(classes="dog\ncat\n")
    with pytest.raises(UserError, match=r"model\.args\.dropout: was None, is 0\.1"):
        continued(**{"model.args.dropout": 0.1})
    with pytest.raises(UserError, match=r"data\.format: was sample, is tar; optimizer\.lr: was 0\.003, is 0\.5\."):
        continued(**{"data.format": "tar", "optimizer.lr": 0.5})


def test_a_fingerprint_is_what_it_always_was():
    """Logs and event files of earlier runs hold it."""
    settings = {
        "run": {"root": "outputs", "name": "first"},
        "model": {"name": "resnet50", "args": {"depth": 50}},
        "data": {"root": "photos", "cache": None, "on_error": "fail"},
        "optimizer": {"lr": 0.1},
        "trainer": {"epochs": 3, "nodes": 2, "node_rank": 1, "master": "here:1", "topk": [1, 5]},
    }
    assert config_hash(OmegaConf.create(settings)) == "20f97621eab4"
    settings |= {"run": {"root": "elsewhere", "name": "second"}}
    settings["trainer"] |= {"nodes": 1, "node_rank": 0, "master": None}
    assert config_hash(OmegaConf.create(settings)) == "20f97621eab4"
    settings["optimizer"]["lr"] = 0.2
    assert config_hash(OmegaConf.create(settings)) != "20f97621eab4"


@pytest.mark.parametrize(
    ("program", "overrides", "words"),
    [
        ("train", ["data.val_share=0.2"], "data.val_share=0.2 is for data=folder, data=list, "),
        ("preview", ["data=synthetic", "data.val_share=0.2"], "data.val_share=0.2 is for data=folder, data=list, "),
        ("train", ["data=folder", "data.root=.", "data.val_share=0"], "data.val_share=0 leaves no pictures"),
    ],
)
def test_a_share_for_validation_fits_the_rest(program, overrides, words):
    with pytest.raises(UserError, match=re.escape(words)):
        composed(program, *overrides)
    composed("train", "data=folder", "data.root=.", "data.val_share=0", "trainer.eval_every=0")
    composed("eval", "data.val_share=0.2")  # the data may be a run's


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.folds=5"], "data.folds=5: add data.fold=0, or -m data.fold=0,1,2,3,4 for a run on each."),
        (["data.fold=1"], "data.fold=1: add data.folds=<number>"),
        (["data.folds=5", "data.fold=5"], "data.fold=5: must be less than data.folds=5"),
        (["data.folds=5", "data.fold=0", "data.val_share=0.2"], "both divide the pictures"),
        (["data.folds=5", "data.fold=0", "trainer.eval_every=0"], "trainer.eval_every=0 evaluates nothing"),
        (["data.split_column=part"], "data.split_column=part is for data=list"),
        (["data=list", "data.split_column=part", "data.val_share=0.2"], "divides the table already"),
        (
            ["trainer.processes=auto", "trainer.nodes=2", "trainer.master=there:1234"],
            "trainer.processes=auto: with trainer.nodes=2 each machine would choose by itself",
        ),
        (["callbacks.pruning.enabled=true", "trainer.eval_every=0"], "callbacks.pruning compares trainer.monitor"),
    ],
)
def test_folds_columns_and_pruning_fit_the_rest(overrides, words):
    with pytest.raises(UserError, match=re.escape(words)):
        composed("train", "data=folder", "data.root=.", *overrides)
    composed("train", "data=zip", "data.root=.", "data.folds=5", "data.fold=4")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["data=sample"],
            "at an address there can be data=folder, data=list, data=tar, data=webdataset, data=zip",
        ),
        (["data=tar", "data.backend=dali"], "data.backend=dali: not with data.root=s3://photos"),
        (["data=list", "data.check_files=all"], "data.check_files=all: not with data.root=s3://photos"),
        (["data=tar", "data.remote_retries=9"], "for one picture: data.worker_timeout=120 must be more"),
        (["data=tar", "data.root=webhdfs://there/photos"], "names no host and port, as webhdfs://namenode:9870/photos"),
        (["data=tar", "data.root=ftp://photos"], "data.root=ftp://photos: data comes from s3://"),
    ],
)
def test_what_goes_with_an_address(overrides, words):
    pytest.importorskip("fsspec")
    composed("train", "data=tar", "data.root=s3://photos/of mine")
    with pytest.raises(UserError, match=re.escape(words)):
        composed("train", "data.root=s3://photos", *overrides)


def test_a_zip_is_not_a_folder(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"")
    with pytest.raises(UserError, match="write data=zip"):
        composed("train", "data=folder", f"data.root={tmp_path}/photos.zip")


@pytest.mark.parametrize("program", SCHEMAS)
def test_no_number_brings_a_machine_to_a_stand(program):
    """Processes and threads that a command, or the recorded configuration of a stranger's run, asks for."""
    for key, row in rows(SCHEMAS[program]).items():
        if key.rpartition(".")[2] in ("num_workers", "processes", "threads"):
            many = [100_000] if row.kind is list else 100_000
            assert [*problems(key, many, row.rules)] == [f"{key}=100000: must be at most 1,024."]
