"""Mistakes a user makes: one message that says what and where, no traceback, nothing left behind."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from locations import ROOT
from PIL import Image
from tiny_run import finish, starter

from imgcls.machine.installation import gpu_count, require_line

USER_ERROR = 2


@pytest.fixture
def photos(tmp_path):
    """A little data set: two classes, three pictures each for training and one for validation."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1)):
        for name in ("red", "blue"):
            directory = tmp_path / "photos" / split / name
            directory.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(directory / f"{number}.jpg")
    return tmp_path / "photos"


def refused(result, *expected: str) -> str:
    """The command failed as a user's mistake does, and said all of ``expected``."""
    assert result.returncode == USER_ERROR, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert "error: " in result.stderr
    for text in expected:
        assert text in result.stderr, result.stderr
    return result.stderr


CONFIGURATION = {
    "model": (["model=resnet5_vd"], ["resnet5_vd", "Did you mean 'resnet50_vd'"]),
    "key": (["trainer.epohs=3"], ["epohs", "Did you mean 'epochs'"]),
    "callback": (["callbacks.mixpu.enabled=true"], ["mixpu", "Did you mean 'mixup'"]),
    "schedule": (["lr_schedule=cosin"], ["lr_schedule=cosin", "Did you mean 'cosine'"]),
    "optimizer": (["optimizer=momentun"], ["Did you mean 'momentum'"]),
    "type": (["trainer.epochs=many"], ["trainer.epochs", "many"]),
    "range": (["trainer.epochs=0", "transform.flip=2"], ["trainer.epochs=0: must be at least 1", "transform.flip=2"]),
    "root missing": (["data=folder"], ["data.root is required"]),
    "root wrong": (["data=folder", "data.root=nowhere"], ["nowhere", "no such directory"]),
    "crop": (["transform.size=300", "transform.resize_size=256"], ["centre crop would not fit"]),
    "batch": (["trainer.batch_size=2", "trainer.processes=4"], ["trainer.batch_size=2", "4 processes"]),
    "monitor": (
        ["trainer.monitor=accuracy"],
        ["trainer.monitor=accuracy", "loss, top1, top5; on request balanced_accuracy"],
    ),
    "monitor's name in the table": (["trainer.monitor=val_top1"], ["Did you mean 'top1'? There are"]),
    "monitor of no average": (
        ["trainer.monitor=top1_ema"],
        ["no averaged weights without callbacks.ema.enabled=true. There are: loss, top1, top5; on request"],
    ),
    "monitor that is always right": (
        ["trainer.monitor=top5", "data.num_classes=4"],
        ["of 4 classes the right one is always among the first 5. There are: loss, top1; on request"],
    ),
    "syntax": (["trainer.epochs"], ["trainer.epochs"]),
}


@pytest.mark.parametrize("case", CONFIGURATION)
def test_configuration(case, ask, tmp_path):
    arguments, expected = CONFIGURATION[case]
    refused(ask("train", *arguments, cwd=tmp_path), *expected)
    assert list(tmp_path.iterdir()) == [], "a refused command leaves nothing behind"


@pytest.mark.parametrize("case", ["model", "callback", "range", "syntax"])
def test_a_process_of_its_own_says_the_same(case, ask, tmp_path):
    """Whoever starts it: the answers of this process stand for those of ``python -m imgcls.train``."""
    arguments, _ = CONFIGURATION[case]
    command = [sys.executable, "-m", "imgcls.train", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    here = ask("train", *arguments, cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (here.returncode, here.stdout, here.stderr)
    assert list(tmp_path.iterdir()) == []


def test_an_argument_the_network_does_not_have(run_program, tmp_path):
    result = run_program("train", "model.args.drop=0.1", "debug=fast", cwd=tmp_path, check=False)
    refused(result, "drop", "Did you mean 'dropout'")


def test_the_first_word_of_a_benchmark_says_what_to_measure(ask, tmp_path):
    refused(ask("benchmark", "speeed", cwd=tmp_path), "benchmark.what=speeed: must be one of train, trainer")
    result = ask("benchmark", "loader", "benchmark.steps=0", cwd=tmp_path)
    assert "benchmark.what" not in refused(result, "benchmark.steps=0: must be at least 1")


def test_more_gpus_than_there_are(run_program, tmp_path):
    """On a machine that has some, too."""
    there = gpu_count()
    result = run_program("train", f"trainer.gpus={there + 1}", cwd=tmp_path, check=False)
    refused(result, f"trainer.gpus={there + 1}", f"{there} usable GPU")


def test_empty_directory(run_program, tmp_path):
    (tmp_path / "empty" / "train").mkdir(parents=True)
    refused(run_program("train", "data=folder", "data.root=empty", cwd=tmp_path, check=False), "empty")


def test_list_with_a_wrong_path_and_label(run_program, photos):
    """The original died with "'NoneType' object has no attribute 'shape'" and a failed check inside an operator."""
    good = "train/red/0.jpg 0\ntrain/blue/0.jpg 1\n"
    (photos / "val_list.txt").write_text(good)
    (photos / "train_list.txt").write_text(good + "train/red/missing.jpg 0\n")
    arguments = ("data=list", "data.root=.", "debug=fast")
    refused(run_program("train", *arguments, cwd=photos, check=False), "train_list.txt", "line 3", "missing.jpg")
    (photos / "train_list.txt").write_text(good + "train/red/1.jpg 7\n")
    refused(
        run_program("train", *arguments, "model.num_classes=2", cwd=photos, check=False),
        "train_list.txt",
        "line 3",
        "7",
    )
    (photos / "train_list.txt").write_text(good + "train/red/1.jpg\n")
    refused(run_program("train", *arguments, cwd=photos, check=False), "train_list.txt", "line 3")


@pytest.mark.parametrize("workers", [0, 2])
def test_not_an_image_and_a_truncated_one(workers, run_program, photos):
    arguments = ("data=folder", "data.root=.", f"trainer.num_workers={workers}", "transform.size=64")
    broken = photos / "train" / "red" / "1.jpg"
    whole = broken.read_bytes()
    broken.write_text("I am not a picture")
    refused(run_program("train", *arguments, cwd=photos, check=False), str(Path("red") / "1.jpg"))
    broken.write_bytes(whole[: len(whole) // 2])
    refused(run_program("train", *arguments, cwd=photos, check=False), str(Path("red") / "1.jpg"))


def test_weights_of_another_class_count(run_program, photos):
    """Evaluation would answer noise; the original died with x_dims[1] != labels_dims[1]."""
    result = run_program("eval", "data=folder", "data.root=.", "eval.source=null", cwd=photos, check=False)
    refused(result, "squeezenet1_1", "2 classes")


def test_pretrained_files_that_are_no_weights(run_program, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    (tmp_path / "bomb.pdparams").write_bytes(pickle.dumps({"head.weight": Bomb()}))
    (tmp_path / "random.pdparams").write_bytes(np.random.default_rng(0).bytes(1000))
    for name in ("bomb", "random"):
        result = run_program("train", f"model.pretrained={name}.pdparams", cwd=tmp_path, check=False)
        refused(result, f"{name}.pdparams")
    assert not (tmp_path / "executed").exists()
    refused(run_program("train", "model.pretrained=none.pdparams", cwd=tmp_path, check=False), "none.pdparams")


def test_topk_larger_than_the_class_count(run_program, tmp_path):
    arguments = ("predict.input=x.jpg", "predict.topk=1001")
    Image.new("RGB", (50, 50)).save(tmp_path / "x.jpg")
    refused(run_program("predict", *arguments, cwd=tmp_path, check=False), "predict.topk=1001", "1000 classes")


def test_directory_that_cannot_be_written(run_program, tmp_path):
    (tmp_path / "file").touch()
    result = run_program("train", "run.root=file", "debug=fast", cwd=tmp_path, check=False)
    refused(result, "file", "run.root")
    refused(run_program("train", "run.root=/proc", "debug=fast", cwd=tmp_path, check=False), "/proc")


def test_disk_full_during_a_save(run_program, tmp_path):
    """A limit on the size of files stands for the full disk; the checkpoint before stays usable."""
    arguments = ["data=synthetic", "data.num_classes=10", "data.train_size=8", "data.val_size=8", "model=squeezenet1_1"]
    arguments += ["transform.size=64", "trainer.batch_size=8", "trainer.num_workers=0", "run.name=full"]
    run_program("train", *arguments, "trainer.epochs=1", cwd=tmp_path)
    (tmp_path / "limited.py").write_text(
        "import resource, runpy, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "runpy.run_module('imgcls.train', run_name='__main__')\n"
    )
    with starter(tmp_path) as start:
        process = start(*arguments, "trainer.epochs=2", "trainer.resume=auto", program="limited")
        output = finish(process, USER_ERROR)
    assert "Traceback" not in output
    assert "could not be written" in output
    assert "Earlier checkpoints are intact" in output
    names = os.listdir(tmp_path / "outputs" / "full" / "checkpoints")
    assert not [name for name in names if "partial" in name]
    run_program("train", *arguments, "trainer.epochs=2", "trainer.resume=auto", cwd=tmp_path)


def test_run_that_exists_and_run_that_changed(run_program, tmp_path):
    arguments = ("run.name=one", "debug=fast", "data=synthetic", "data.num_classes=5", "transform.size=64")
    run_program("train", *arguments, cwd=tmp_path)
    refused(run_program("train", *arguments, cwd=tmp_path, check=False), "already holds a run", "trainer.resume=auto")
    changed = (*arguments, "trainer.resume=auto", "optimizer.lr=0.5")
    refused(run_program("train", *changed, cwd=tmp_path, check=False), "optimizer.lr: was 0.003, is 0.5")


INSTALLATIONS = {
    "missing": ("paddlepaddle", None, ["PaddlePaddle is not installed", "imgcls[cpu]"]),
    "other": ("paddlepaddle", "3.0.0", ["PaddlePaddle 3.0.0", "2.6.2"]),
    "protobuf": ("protobuf", "5.29.0", ["protobuf 5.29.0 is too new", "protobuf<5"]),
    "numpy": ("numpy", "2.4.0", ["numpy 2.4.0 is too new", "numpy<2"]),
}


@pytest.mark.parametrize("case", INSTALLATIONS)
def test_installation(case, tmp_path):
    """The installed distribution's metadata answers as on such a machine; nothing else is changed."""
    distribution, version, expected = INSTALLATIONS[case]
    if distribution == "protobuf" and require_line().protobuf_until is None:
        pytest.skip("any protobuf will do for this Paddle")
    program = f"""
import runpy, sys
from importlib import metadata
real = metadata.version
def version(name):
    if name in ({distribution!r}, {distribution + "-gpu"!r}):
        if {version!r} is None or name.endswith("-gpu"):
            raise metadata.PackageNotFoundError(name)
        return {version!r}
    return real(name)
metadata.version = version
sys.argv = ["train", "debug=fast"]
runpy.run_module("imgcls.train", run_name="__main__")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    refused(result, *expected)
