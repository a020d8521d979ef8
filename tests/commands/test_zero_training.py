"""``imgcls.eval eval.knn``: what features alone tell apart, of weights for other classes and of an export."""

import json

import numpy as np
import pytest

import imgcls
from imgcls.data.formats.build import SAMPLE_PHOTOS


def figures(directory):
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))


def test_neighbours_by_the_features_of_a_prediction(run_program, tmp_path):
    """Against what the features of ``imgcls.load_predictor`` say, each photo asked alone."""
    run_program("eval", "eval.knn=5", "run.name=knn", cwd=tmp_path)  # ImageNet's weights, the photos' classes
    summary = figures(tmp_path / "outputs" / "knn")
    predictor = imgcls.load_predictor("squeezenet1_1")
    paths = {split: sorted(SAMPLE_PHOTOS.glob(f"{split}/*/*.jpg")) for split in ("train", "val")}
    features = {split: predictor.features(found) for split, found in paths.items()}
    known, asked = (features[split] / np.linalg.norm(features[split], axis=1, keepdims=True) for split in paths)
    names = np.array([path.parent.name for path in paths["train"]])
    right = 0
    for row, path in zip(asked @ known.T, paths["val"], strict=True):
        best = np.argsort(-row, kind="stable")[:5]
        shares = {name: np.exp(row[best][names[best] == name] / 0.07).sum() for name in names[best]}
        right += max(shares, key=shares.get) == path.parent.name
    assert summary["pictures"] == len(paths["val"]) == 36
    assert summary["top1"] == pytest.approx(right / 36)
    assert summary["knn"] == 5
    assert "loss" not in summary


@pytest.mark.full
def test_of_an_export_and_over_views(run_program, tmp_path):
    run_program("export", "export.output=features", "export.input=uint8", "export.dir=served", cwd=tmp_path)
    run_program("eval", "eval.source=served", "eval.knn=5", "run.name=served-knn", cwd=tmp_path)
    run_program("eval", "eval.knn=5", "run.name=knn", cwd=tmp_path)
    assert figures(tmp_path / "outputs" / "served-knn")["top1"] == figures(tmp_path / "outputs" / "knn")["top1"]
    run_program("eval", "eval.knn=5", "eval.tta=five", "run.name=views", cwd=tmp_path)
    assert figures(tmp_path / "outputs" / "views")["top1"] > 0.5
    run_program("eval", "eval.knn=5", "eval.topk=[2]", "run.name=second", cwd=tmp_path)
    assert figures(tmp_path / "outputs" / "second")["top2"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval.knn=0"], "eval.knn=0: must be at least 1"),
        (["eval.knn=5", "eval.split=train"], "each of which would find itself"),
        (["eval.knn=5", "eval.report=true"], "no last layer tells where it looked"),
        (["eval.knn=5", "data.multi_label=true"], "is for one class a picture"),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments, said, ask, tmp_path):
    answer = ask("eval", *arguments, cwd=tmp_path)
    assert answer.returncode
    assert said in answer.stderr
