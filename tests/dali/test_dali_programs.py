"""Training, resuming and evaluating through DALI, as a user types it."""

import csv
import json

import pytest
from dali_loaders import require_dali
from locations import ROOT
from tiny_run import assert_same_end, rows

require_dali()

PHOTOS = ROOT / "imgcls" / "assets" / "sample_photos"
CATS = {"tabby": 281, "persian": 283, "siamese": 284, "egyptian": 285}
TRAINING = (
    "data.backend=dali",
    "callbacks.mixup.enabled=true",
    "callbacks.label_smoothing.enabled=true",
    "transform.size=64",
    "trainer.batch_size=16",
    "trainer.eval_batch_size=16",
    "trainer.epochs=2",
    "trainer.num_workers=2",
)
"""Six updates an epoch, the last of five photos."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory, run_program):
    """Where a whole run has been, called ``whole``."""
    directory = tmp_path_factory.mktemp("dali")
    run_program("train", *TRAINING, "run.name=whole", cwd=directory)
    return directory


def test_a_run_learns(directory):
    losses = [float(row["val_loss"]) for row in rows(directory / "outputs" / "whole")]
    assert losses[1] < losses[0] < 1.7


def test_resumed_after_an_epoch_it_ends_in_the_same_bits(directory, run_program):
    for last_step in ("6", "null"):
        arguments = (f"trainer.max_steps={last_step}", "run.name=stopped", "trainer.resume=auto")
        run_program("train", *TRAINING, *arguments, cwd=directory)
    assert_same_end(directory / "outputs" / "whole", directory / "outputs" / "stopped")


def evaluation(run_program, directory, backend, *arguments):
    """Summary, and the answers by photo."""
    name = f"run.name=by_{backend}"
    run_program("eval", *arguments, f"data.backend={backend}", "eval.batch_size=10", name, cwd=directory)
    report = directory / "outputs" / f"by_{backend}"
    with (report / "per_image.csv").open() as file:
        answers = {row["path"]: row for row in csv.DictReader(file)}
    return json.loads((report / "summary.json").read_text()), answers


def test_evaluation_agrees_with_pillow(directory, run_program):
    (pillow, by_pillow), (dali, by_dali) = (
        evaluation(run_program, directory, backend, "eval.source=outputs/whole", "transform.size=224")
        for backend in ("pillow", "dali")
    )
    assert dali["pictures"] == pillow["pictures"] == 36
    assert dali["top1"] == pytest.approx(pillow["top1"], abs=1.01 / 36)
    assert dali["loss"] == pytest.approx(pillow["loss"], abs=0.002)
    for path, answer in by_pillow.items():
        assert float(by_dali[path]["score"]) == pytest.approx(float(answer["score"]), abs=0.02)


def test_bundled_weights_name_the_cats(run_program, tmp_path):
    photos = [path for path in PHOTOS.rglob("*.jpg") if path.stem.split("_")[0] in CATS]
    lines = [f"{path.relative_to(PHOTOS)} {CATS[path.stem.split('_')[0]]}\n" for path in photos]
    (tmp_path / "cats.txt").write_text("".join(lines))
    arguments = ("data=list", f"data.root={PHOTOS}", f"data.val_list={tmp_path / 'cats.txt'}", "model.num_classes=1000")
    losses = []
    for backend in ("pillow", "dali"):
        summary, _ = evaluation(run_program, tmp_path, backend, *arguments)
        assert (summary["pictures"], summary["top1"]) == (4, 1.0)
        losses.append(summary["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=0.01)
