"""``data.on_error`` and ``data.cache`` in training and evaluation, as a user types them."""

import csv
import shutil

import pytest

from imgcls.data.build import SAMPLE_PHOTOS

TRAIN = ("data=folder", "data.root=photos", "data.on_error=skip", "trainer.epochs=1", "transform.size=64")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The bundled photos with two bad ones for training and one for validation, and a run on them."""
    directory = tmp_path_factory.mktemp("bad")
    shutil.copytree(SAMPLE_PHOTOS, directory / "photos")
    for name in BAD:
        (directory / name).write_text("no picture")
    return directory


BAD = ("photos/train/fish/fish1.jpg", "photos/train/tool/hammer1.jpg", "photos/val/tool/measuringtape1.jpg")


def metrics(directory, run):
    with (directory / "outputs" / run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[row["train_loss"], row["val_loss"], row["val_top1"]] for row in rows]


def test_training_goes_on_without_them(run_program, directory):
    for run, options in (
        ("alone", ["trainer.num_workers=0"]),
        ("workers", ["trainer.num_workers=2", "data.cache=ram"]),
    ):
        result = run_program("train", *TRAIN, *options, f"run.name={run}", cwd=directory)
        listed = (directory / "outputs" / run / "bad_files.txt").read_text().splitlines()
        assert sorted(listed) == sorted(BAD)
        log = (directory / "outputs" / run / "train.log").read_text()
        for name in BAD:
            assert log.count(f"left out: {name}") == result.stderr.count(f"left out: {name}") == 1
    assert "84 of 85" not in result.stderr
    assert "83 of 85 images are held in memory" in result.stderr
    # What is held is cut from a larger image than what is read; nothing else differs.
    assert len(metrics(directory, "alone")) == len(metrics(directory, "workers")) == 1


def test_evaluation_of_such_a_run_fails_unless_it_is_told_otherwise(run_program, directory):
    arguments = ("eval.source=outputs/alone", "data.root=photos")
    result = run_program("eval", *arguments, cwd=directory, check=False)
    assert result.returncode == 2
    assert f"error: {BAD[2]} is not an image" in result.stderr
    run_program("eval", *arguments, "data.on_error=skip", "run.name=told", cwd=directory)
    assert (directory / "outputs" / "told" / "bad_files.txt").read_text().splitlines() == [BAD[2]]
