"""``data.on_error`` and ``data.cache`` in training and evaluation, as a user types them."""

import csv
import json
import shutil

import pytest

from imgcls.data.formats.build import SAMPLE_PHOTOS

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
    result = run_program("eval", *arguments, "data.on_error=skip", "run.name=told", cwd=directory)
    report = directory / "outputs" / "told"
    assert (report / "bad_files.txt").read_text().splitlines() == [BAD[2]]
    assert "these are 35 of 36 pictures: the others cannot be read" in result.stderr
    summary = json.loads((report / "summary.json").read_text())
    assert (summary["pictures"], summary["left_out"]) == (35, 1)
    _, loss, top1 = metrics(directory, "alone")[0]
    assert (summary["loss"], summary["top1"]) == (pytest.approx(float(loss), rel=1e-5), float(top1))
    with (report / "per_image.csv").open() as file:
        answered = [row["path"] for row in csv.DictReader(file)]
    assert sorted([*answered, BAD[2]]) == sorted(map(str, _pictures(directory, "val")))


def test_two_processes_evaluate_every_readable_picture_once(run_program, directory):
    options = ("trainer.processes=2", "trainer.gpus=0", "trainer.num_workers=1")
    result = run_program("train", *TRAIN, *options, "run.name=ranks", cwd=directory)
    assert "validated on 35 of 36 pictures: the others cannot be read" in result.stderr
    assert sorted((directory / "outputs" / "ranks" / "bad_files.txt").read_text().splitlines()) == sorted(BAD)
    run_program("eval", "eval.source=outputs/ranks", "data.on_error=skip", "run.name=alone_again", cwd=directory)
    summary = json.loads((directory / "outputs" / "alone_again" / "summary.json").read_text())
    _, loss, top1 = metrics(directory, "ranks")[0]
    assert (summary["loss"], summary["top1"]) == (pytest.approx(float(loss), rel=1e-5), float(top1))


def test_a_process_whose_pictures_are_all_bad_leaves_them_to_the_others(run_program, directory, tmp_path):
    shutil.copytree(directory / "photos" / "train", tmp_path / "photos" / "train")
    (tmp_path / "photos" / "val" / "fish").mkdir(parents=True)
    (tmp_path / "photos" / "val" / "fish" / "1.jpg").write_text("no picture")
    shutil.copy(next((directory / "photos" / "val" / "fish").iterdir()), tmp_path / "photos" / "val" / "fish" / "2.jpg")
    options = ("trainer.processes=2", "trainer.gpus=0", "trainer.num_workers=1", "trainer.max_steps=1")
    result = run_program("train", *TRAIN, *options, "run.name=ranks", cwd=tmp_path)
    assert "validated on 1 of 2 pictures: the others cannot be read" in result.stderr


def _pictures(directory, split):
    return [path.relative_to(directory) for path in (directory / "photos" / split).glob("*/*.jpg")]
