"""The program's aids to debugging and its repeatability, as a user meets them."""

import csv
import json
from importlib.util import find_spec

import pytest
from event_file import scalars, texts
from tiny_run import TINY, assert_same_end, finish, last, rows, starter

from imgcls.machine.installation import paddle_version


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("running_well")


@pytest.fixture(scope="module")
def start(directory):
    with starter(directory) as start:
        yield start


def test_a_profiled_run_ends_after_its_window(directory, start):
    wanted = ("trainer.profiler.enabled=true", "trainer.profiler.start=2", "trainer.profiler.steps=2")
    output = finish(start(*TINY, *wanted, "run.name=profiled"))
    run = directory / "outputs" / "profiled"
    assert f"profile of 2 updates: {run}/profile" in output
    trace = json.loads((run / "profile" / "trace.json").read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert len({name for name in names if name.startswith("ProfileStep")}) == 2
    assert "Operator Summary" in (run / "profile" / "summary.txt").read_text()
    assert last(run).name.endswith("4")
    (row,) = rows(run)
    assert row["step"] == "4"
    assert "val_top1" not in row


def test_a_network_learns_one_batch_of_photos_by_heart(directory, start):
    """What cannot be learned by heart points to a bug in the network or in what feeds it."""
    wanted = ("model=mobilenetv1_x0_25", "transform.size=64", "trainer.gpus=0", "trainer.num_workers=0")
    length = ("trainer.epochs=8", "trainer.eval_every=8", "trainer.save_every=8", "optimizer.lr=0.05")
    finish(start(*wanted, *length, "trainer.same_batch=8", "run.name=same"))
    losses = [float(row["train_loss"]) for row in rows(directory / "outputs" / "same")]
    assert losses[0] > 0.5
    assert losses[-1] < 0.01


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("trainer.same_batch=9", "trainer.same_batch=9: must be at most trainer.batch_size=8."),
        (
            "trainer.same_batch=4 trainer.processes=2",
            "trainer.same_batch=4 is for one process; 2 share the batch.",
        ),
        (
            "trainer.compile=true trainer.sync_bn=true trainer.processes=2",
            "are compiled on GPUs only; set trainer.sync_bn=false",
        ),
        ("trainer.profiler.steps=0", "trainer.profiler.steps=0: must be at least 1."),
        ("logger=neptune", "There is no logger=neptune. There are: csv, mlflow, tensorboard, visualdl, wandb."),
    ],
)
def test_mistakes(wanted, message, ask, tmp_path):
    result = ask("train", *TINY, *wanted.split(), cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_compiled_run_ends_like_any_other(directory, start):
    for name in ("compiled", "called"):
        finish(start(*TINY, f"trainer.compile={str(name == 'compiled').lower()}", f"run.name={name}"))
    compiled, called = (rows(directory / "outputs" / name) for name in ("compiled", "called"))
    assert len(compiled) == len(called) > 1
    for one, other in zip(compiled, called, strict=True):
        for figure in ("train_loss", "val_loss", "val_top1"):
            assert float(one[figure]) == pytest.approx(float(other[figure]), rel=1e-4)


def test_a_deterministic_run_gives_the_same_bits_twice(directory, start):
    """With readers in other processes and all that draws random numbers."""
    chance = ("callbacks.mixup.enabled=true", "callbacks.random_erasing.enabled=true", "trainer.num_workers=2")
    for name in ("once", "twice"):
        finish(start(*TINY, *chance, "trainer.deterministic=true", f"run.name={name}"))
    assert_same_end(directory / "outputs" / "once", directory / "outputs" / "twice")


@pytest.mark.skipif(find_spec("tensorboardX") is None, reason="needs the extra tensorboard")
def test_tensorboard_has_the_figures_of_the_history(directory, start):
    finish(start(*TINY, "logger=tensorboard", "run.name=shown"))
    run = directory / "outputs" / "shown"
    found = scalars(run / "tensorboard")
    assert list(found["update/loss"]) == list(range(1, 13))
    for row in csv.DictReader((run / "metrics.csv").open()):
        for name in ("train_loss", "val_loss", "val_top1"):
            assert found[f"epoch/{name}"][int(row["step"])] == pytest.approx(float(row[name]))
    (system,) = texts(run / "tensorboard")
    assert f"paddlepaddle {paddle_version()}" in system
    assert system in (run / "train.log").read_text()


@pytest.mark.skipif(find_spec("tensorboardX") is not None, reason="the extra tensorboard is there")
def test_tensorboard_without_the_extra(directory, start):
    output = finish(start(*TINY, "logger=tensorboard", "run.name=not_shown"), status=2)
    assert 'pip install "imgcls[tensorboard]"' in output
    assert not (directory / "outputs" / "not_shown").exists()
