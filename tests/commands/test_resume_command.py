"""Going on with a run of one's own photos: what need not be said again, what has changed meanwhile, what is said."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny_run import SMALLEST, assert_same_end, finish, last, rows, starter

RUN = (
    "run.name=pets",
    *SMALLEST,
    "data=folder",
    "data.root='我的照片'",
    "transform.size=32",
    "trainer.batch_size=4",
    "trainer.epochs=3",
    "trainer.num_workers=0",
    "trainer.gpus=0",
    "trainer.monitor=loss",
)
GO_ON = ("run.name=pets", "trainer.resume=auto")


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)).save(path)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Photos of three classes, a whole run of five updates an epoch, and one as it was two into the second."""
    directory = tmp_path_factory.mktemp("origin")
    for number in range(24):
        split = "val" if number >= 18 else "train"
        picture(directory / "我的照片" / split / "abc"[number % 3] / f"{number} (1).jpg", number)
    with starter(directory) as start:
        finish(start(*RUN, "run.name=whole", "trainer.save_every_steps=7", "trainer.keep_checkpoints=9"))
    runs = directory / "outputs"
    shutil.copytree(runs / "whole", runs / "pets", symlinks=True)
    for checkpoint in (runs / "pets" / "checkpoints").glob("epoch-*"):
        if checkpoint.name > "epoch-0001-step-00000007":
            shutil.rmtree(checkpoint)
    (runs / "pets" / "checkpoints" / "last").unlink()
    (runs / "pets" / "checkpoints" / "last").symlink_to("epoch-0001-step-00000007")
    return directory


@pytest.fixture
def here(origin, tmp_path):
    shutil.copytree(origin, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def start(here):
    with starter(here) as start:
        yield start


def test_only_the_name_is_needed_and_the_bits_are_those_of_an_undisturbed_run(start, here):
    (here / "我的照片").rename(here / "moved")
    output = finish(start(*GO_ON, "data.root=moved"))
    assert "after 7 updates" in output
    for word in ("random weights", "from here on", "not compared", "The run was"):
        assert word not in output
    runs = here / "outputs"
    assert_same_end(runs / "whole", runs / "pets")
    losses = [float(row["val_loss"]) for row in rows(runs / "pets")]
    best = json.loads((runs / "pets" / "summary.json").read_text())["best"]
    assert (best["loss"], best["epoch"]) == (min(losses), losses.index(min(losses)) + 1)
    state = json.loads((runs / "pets" / "checkpoints" / "best" / "state.json").read_text())
    assert state["trainer"]["metrics"]["loss"] == min(losses)
    assert "val_top5" not in rows(runs / "pets")[0]


def test_pictures_that_come_within_an_epoch_are_noticed(start, here):
    for name in ("new.jpg", "other.jpg"):
        picture(here / "我的照片" / "train" / "a" / name, 99)
    (here / "我的照片" / "train" / "b" / "1 (1).jpg").unlink()
    output = finish(start(*GO_ON), 2)
    assert (
        "other training pictures: 18 then, 19 now; 2 new, a/new.jpg the first; 1 gone, b/1 (1).jpg the first." in output
    )
    whole = last(here / "outputs" / "pets").with_name("epoch-0001-step-00000005")
    assert f"go on from the end of an epoch with trainer.resume={whole}, " in output
    output = finish(start("run.name=pets", f"trainer.resume='{whole}'", "trainer.max_steps=6"))
    assert "The training pictures are others from here on: 18 then, 19 now; 2 new" in output
    assert "after 5 updates" in output


def test_other_validation_pictures_and_a_checkpoint_that_does_not_know(start, here):
    picture(here / "我的照片" / "val" / "a" / "new.jpg", 99)
    output = finish(start(*GO_ON, "trainer.max_steps=8"))
    assert "validation pictures are others from here on, 6 then, 7 now" in output
    checkpoint = last(here / "outputs" / "pets")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    for name in ("samples.json", "samples.gz"):
        (checkpoint / name).unlink()
        del manifest["sha256"][name]
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    picture(here / "我的照片" / "train" / "a" / "new.jpg", 99)
    assert "does not say which pictures its run had" in finish(start(*GO_ON, "trainer.max_steps=9"))


def test_the_end_and_more_than_the_end(start, here):
    ended = finish(start("run.name=whole", "trainer.resume=auto"))
    assert (
        "Nothing is left to do: the run has ended after its 3 epochs. With a larger trainer.epochs it goes on." in ended
    )
    assert "Nothing is left" not in finish(start(*GO_ON, "trainer.max_steps=8"))
    ended = finish(start(*GO_ON))
    assert "Nothing is left to do: the run has ended after its 8 updates. With a larger trainer.max_steps" in ended
    assert [row["step"] for row in rows(here / "outputs" / "pets")] == ["5", "8"]
    longer = finish(start("run.name=whole", "trainer.resume=auto", "trainer.epochs=4"))
    assert "The run was 3 epochs of 5 updates and is 4 of 5 now; the learning rate of the next update is " in longer
    assert "not 0 as by the old length." in longer
    assert "epochs: 4" in (here / "outputs" / "whole" / "config.yaml").read_text()


def test_a_name_that_is_mistyped_starts_anew_and_says_so(start, here):
    output = finish(start(*RUN, "run.name=pest", "trainer.resume=auto", "trainer.max_steps=1"))
    assert (
        f"no checkpoint in {here}/outputs/pest to continue: the run starts from the beginning. Did you mean 'pets'"
        in output
    )
    assert "starts from the beginning" in (here / "outputs" / "pest" / "train.log").read_text()


def test_two_processes_know_what_one_was_told(start, here):
    output = finish(start(*GO_ON, "trainer.processes=2", "trainer.max_steps=8"))
    assert "after 7 updates" in output
    assert [row["step"] for row in rows(here / "outputs" / "pets")][-1] == "8"


def test_one_class_is_not_learned(start, here):
    for split in ("train", "val"):
        for name in "bc":
            shutil.rmtree(here / "我的照片" / split / name)
    assert "has one class only" in finish(start(*RUN, "run.name=one"), 2)
    assert not (here / "outputs" / "one").exists()
