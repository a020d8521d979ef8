"""From photos to answers through the programs, as a user types them."""

import csv
import json
import shutil

import numpy as np
import pytest
from locations import ROOT
from tiny_run import finish, starter

PHOTOS = ROOT / "imgcls" / "assets" / "sample_photos"


@pytest.fixture(scope="module")
def run(run_program, tmp_path_factory):
    """A short fine-tuning on the bundled photos with averaged weights: directory it was started in."""
    directory = tmp_path_factory.mktemp("chain")
    run_program(
        "train", "run.name=first", "trainer.epochs=1", "transform.size=96", "callbacks.ema.enabled=true", cwd=directory
    )
    return directory


def test_run_directory(run):
    files = {path.name for path in (run / "outputs" / "first").iterdir()}
    assert {"config.yaml", "train.log", "metrics.csv", "curves.png", "summary.json", "checkpoints"} <= files
    row = next(csv.DictReader((run / "outputs" / "first" / "metrics.csv").open()))
    assert {"val_top1", "val_top1_ema", "train_loss", "lr"} <= row.keys()
    assert float(row["val_loss"]) < np.log(5) * 1.2
    log = (run / "outputs" / "first" / "train.log").read_text()
    assert "head.weight [1000, 512, 1, 1] -> [5, 512, 1, 1]" in log
    assert "FLAGS_paddle_num_threads" in log
    assert "paddlepaddle" in log


@pytest.mark.parametrize("source", ["outputs/first", "outputs/first/checkpoints/last", "file"])
def test_evaluation(source, run, run_program):
    """A run, a checkpoint and a bare weights file give the numbers the training reported."""
    arguments = [f"eval.source={source}"]
    if source == "file":
        shutil.copy(run / "outputs/first/checkpoints/last/network.pdparams", run / "weights.pdparams")
        arguments = ["eval.source=weights.pdparams", "transform.size=96"]
    run_program("eval", *arguments, "run.name=evaluated", cwd=run)
    report = run / "outputs" / "evaluated"
    summary = json.loads((report / "summary.json").read_text())
    row = next(csv.DictReader((run / "outputs" / "first" / "metrics.csv").open()))
    assert summary["pictures"] == 36
    assert summary["top1"] == pytest.approx(float(row["val_top1"]))
    assert summary["loss"] == pytest.approx(float(row["val_loss"]), rel=1e-5)
    with (report / "per_image.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert np.mean([int(answer["right"]) for answer in answers]) == pytest.approx(summary["top1"])
    with (report / "confusion_matrix.csv").open() as file:
        counts = np.array([row[1:] for row in list(csv.reader(file))[1:]], int)
    assert counts.sum(axis=1).tolist() == [8, 4, 8, 8, 8]
    assert np.trace(counts) / 36 == pytest.approx(summary["top1"])


def test_averaged_weights(run, run_program):
    run_program("eval", "eval.source=outputs/first", "eval.weights=ema", "run.name=averaged", cwd=run)
    summary = json.loads((run / "outputs" / "averaged" / "summary.json").read_text())
    row = next(csv.DictReader((run / "outputs" / "first" / "metrics.csv").open()))
    assert summary["loss"] == pytest.approx(float(row["val_loss_ema"]), rel=1e-5)


def test_prediction_agrees_with_evaluation(run, run_program):
    run_program("eval", "eval.source=outputs/first", "run.name=judged", cwd=run)
    run_program("predict", "predict.source=outputs/first", f"predict.input={PHOTOS / 'val'}", "run.name=told", cwd=run)
    with (run / "outputs" / "judged" / "per_image.csv").open() as file:
        judged = {row["path"]: row for row in csv.DictReader(file)}
    told = [json.loads(line) for line in (run / "outputs" / "told" / "predictions.jsonl").read_text().splitlines()]
    assert len(told) == 36
    for record in told:
        assert record["top"][0]["name"] == judged[record["path"]]["predicted_name"]
        assert record["top"][0]["score"] == pytest.approx(float(judged[record["path"]]["score"]), abs=2e-6)


def test_export_predicts_the_same(run, run_program):
    run_program("export", "export.source=outputs/first", "export.dir=served", cwd=run)
    picture = PHOTOS / "val" / "fish" / "fish14.jpg"
    answers = []
    for name, source in (("network", "outputs/first"), ("export", "served")):
        run_program("predict", f"predict.source={source}", f"predict.input={picture}", f"run.name={name}", cwd=run)
        record = json.loads((run / "outputs" / name / "predictions.jsonl").read_text())
        answers.append({entry["name"]: entry["score"] for entry in record["top"]})
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


def test_bundled_weights_name_the_cats(run_program, tmp_path):
    names = {"tabby": 281, "persian": 283, "siamese": 284, "egyptian": 285}
    cats = [path for path in PHOTOS.rglob("*.jpg") if path.stem.split("_")[0] in names]
    assert len(cats) == 4
    pictures = ",".join(map(str, cats))
    run_program("predict", f"predict.input=[{pictures}]", "predict.topk=1", "run.name=cats", cwd=tmp_path)
    lines = (tmp_path / "outputs" / "cats" / "predictions.jsonl").read_text().splitlines()
    found = {record["path"]: record["top"][0]["class"] for record in map(json.loads, lines)}
    assert found == {str(path): names[path.stem.split("_")[0]] for path in cats}


def test_sweep_goes_on_after_a_failure(run_program, tmp_path):
    result = run_program(
        "train",
        "-m",
        "model.pretrained=true,missing.pdparams",
        "optimizer.lr=0.01,0.001",
        "debug=fast",
        "transform.size=64",
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 2
    assert "Failed jobs of this sweep: 2, 3" in result.stderr
    (sweep,) = (tmp_path / "outputs").glob("sweep-*")
    with (sweep / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
    assert float(rows[0]["top1"]) >= float(rows[1]["top1"])
    assert f"best: job {rows[0]['job']}" in result.stdout
    assert sorted(path.name for path in sweep.glob("job-*")) == ["job-0", "job-1"], "a refused one leaves nothing"


def test_help_and_composed_configuration(run_program, tmp_path):
    text = run_program("train", "--help", cwd=tmp_path).stdout
    assert "model=resnet50_vd" in text
    assert "trainer.resume=auto" in text
    composed = run_program("train", "--cfg", "job", "model=ResNet50_vd", cwd=tmp_path).stdout
    assert "name: resnet50_vd" in composed


BREAKPOINTS = """
import os, runpy, sys
import imgcls
from imgcls.machine.installation import require_paddle
require_paddle()
from imgcls.data.loading.dataset import ImageDataset
from imgcls.models.squeezenet import SqueezeNet
seen = set()
for owner, method in ((ImageDataset, "image"), (SqueezeNet, "forward_features")):
    def wrapped(*arguments, _original=getattr(owner, method), _name=method):
        seen.add((_name, os.getpid()))
        return _original(*arguments)
    setattr(owner, method, wrapped)
try:
    runpy.run_module("imgcls.train", run_name="__main__")
except SystemExit as leaving:
    assert not leaving.code
assert seen == {("image", os.getpid()), ("forward_features", os.getpid())}, seen
"""


def test_a_breakpoint_in_forward_and_getitem_stops_in_this_process(tmp_path):
    """With one process and no workers both run where the command runs: patched there, they are seen there."""
    (tmp_path / "patched.py").write_text(BREAKPOINTS)
    with starter(tmp_path) as start:
        finish(start("debug=fast", "transform.size=64", program="patched"))
