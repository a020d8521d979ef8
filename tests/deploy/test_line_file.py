"""Files that grow line by line: what an interruption leaves, and going on after it."""

import os

import numpy as np
import pytest

from imgcls.deploy.continuation import agree, remaining
from imgcls.deploy.feature_file import FeatureFile
from imgcls.deploy.line_file import LineFile
from imgcls.errors import UserError


def test_a_line_is_there_at_once(tmp_path):
    lines = LineFile(tmp_path / "lines")
    lines.write({"path": "caf\udce9"})
    assert list(LineFile(tmp_path / "lines", resume=True)) == [{"path": "caf\udce9"}]
    assert list(LineFile(tmp_path / "lines", resume=False)) == []


@pytest.mark.parametrize("torn", [b'{"path": "thr', b"\0" * 40, b'{"path": "thr\n{"path": "four"}\n'])
def test_what_was_cut_off_is_removed(torn, tmp_path):
    lines = LineFile(tmp_path / "lines")
    lines.write({"path": "one"})
    lines.write({"path": "two"})
    lines.close()
    with (tmp_path / "lines").open("ab") as file:
        file.write(torn)
    lines = LineFile(tmp_path / "lines", resume=True)
    lines.write({"path": "three"})
    assert [record["path"] for record in lines] == ["one", "two", "three"]


def test_remaining_keeps_order_and_counts_twice():
    assert remaining(["a", "b", "a", "c", "a"], ["a", "x", "a"]) == ["b", "c", "a"]


def test_other_settings_are_not_gone_on_with(tmp_path):
    settings = {"topk": 5, "model": "x", "mean": [0.5]}
    assert not agree(tmp_path, settings, resume=True)
    assert agree(tmp_path, settings, resume=True)
    with pytest.raises(UserError, match=r"cannot be gone on with: topk was 5, now 3\."):
        agree(tmp_path, {**settings, "topk": 3}, resume=True)
    assert not agree(tmp_path, {**settings, "topk": 3}, resume=False)
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(UserError, match=r"settings\.json is damaged"):
        agree(tmp_path, settings, resume=True)


ROWS = np.arange(28, dtype=np.float32).reshape(7, 4)


def read_features(directory) -> tuple[list[str], np.ndarray]:
    with np.load(directory / "features.npz", allow_pickle=False) as content:
        return content["paths"].tolist(), content["features"]


@pytest.mark.parametrize("cut", ["rows", "paths.jsonl"])
def test_features_gone_on_with_after_either_file_was_cut_off(cut, tmp_path):
    features = FeatureFile(tmp_path)
    features.add(["a", "b", "c"], ROWS[:3])
    file = tmp_path / f"features.{cut}"
    os.truncate(file, file.stat().st_size - 3)
    features = FeatureFile(tmp_path, resume=True)
    assert list(features.paths()) == ["a", "b"]
    features.add(["c", "d"], ROWS[2:4])
    assert features.close() == 4
    paths, rows = read_features(tmp_path)
    assert paths == ["a", "b", "c", "d"]
    assert np.array_equal(rows, ROWS[:4])
    assert os.listdir(tmp_path) == ["features.npz"]


def test_features_added_to_what_was_finished(tmp_path):
    features = FeatureFile(tmp_path)
    features.add(["a", "b"], ROWS[:2])
    features.close()
    features = FeatureFile(tmp_path, resume=True)
    assert list(features.paths()) == ["a", "b"]
    features.add(["c"], ROWS[2:3])
    features.close()
    paths, rows = read_features(tmp_path)
    assert (paths, rows.tolist()) == (["a", "b", "c"], ROWS[:3].tolist())


def test_no_features(tmp_path):
    assert FeatureFile(tmp_path).close() == 0
    assert os.listdir(tmp_path) == []
