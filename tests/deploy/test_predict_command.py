"""``imgcls.predict`` as a user types it: inputs, answers, features, and pictures that cannot be read."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from tiny_run import finish, starter, wait_for

USER_ERROR = 2


def predict(run_program, cwd, *arguments, check=True):
    return run_program("predict", "run.name=told", *arguments, cwd=cwd, check=check)


def told(cwd):
    return [json.loads(line) for line in (cwd / "outputs" / "told" / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture
def album(photos, tmp_path):
    """A directory with five pictures, two of them broken, and a list of some of them."""
    directory = tmp_path / "album"
    directory.mkdir()
    for name in ("a.jpg", "b.jpg", "d.jpg"):
        shutil.copy(photos / "plain.jpg", directory / name)
    (directory / "c.jpg").write_text("not a picture")
    (directory / "e.jpg").write_bytes((photos / "plain.jpg").read_bytes()[:2000])
    (directory / "list.txt").write_text("d.jpg\nmissing.jpg\n")
    return directory


def test_bad_pictures_are_named_and_the_rest_go_on(album, run_program, tmp_path):
    result = predict(run_program, tmp_path, "predict.input=album", "predict.batch_size=2", check=False)
    assert result.returncode == USER_ERROR
    assert "Traceback" not in result.stderr
    last = result.stderr[result.stderr.index("error: ") :]
    assert "2 of 5 pictures could not be read" in last
    assert "album/c.jpg" in last
    assert "album/e.jpg" in last
    bad = (tmp_path / "outputs" / "told" / "unreadable.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in bad] == ["album/c.jpg", "album/e.jpg"]
    assert "not an image" in json.loads(bad[0])["error"]
    assert [record["path"] for record in told(tmp_path)] == ["album/a.jpg", "album/b.jpg", "album/d.jpg"]
    assert [len(record["top"]) for record in told(tmp_path)] == [5, 5, 5]
    scores = [answer["score"] for answer in told(tmp_path)[0]["top"]]
    assert scores == sorted(scores, reverse=True)
    assert told(tmp_path)[0]["top"][0] == {"class": 281, "name": "tabby, tabby cat", "score": scores[0]}
    assert "tabby, tabby cat" in result.stdout


def test_list_file_and_pattern(album, run_program, tmp_path):
    inputs = "predict.input=[album/list.txt,'album/[ab].jpg']"
    result = predict(run_program, tmp_path, inputs, "predict.num_workers=0", check=False)
    assert "1 of 4 pictures could not be read" in result.stderr
    assert "missing.jpg" in result.stderr
    assert [record["path"] for record in told(tmp_path)] == ["album/d.jpg", "album/a.jpg", "album/b.jpg"]


def test_features(album, run_program, tmp_path, squeezenet, contract_for):
    from imgcls.data.pictures.decode import decode_image
    from imgcls.deploy.predictor import NetworkPredictor

    predict(run_program, tmp_path, "predict.input='album/[ab].jpg'", "predict.output=features")
    with np.load(tmp_path / "outputs" / "told" / "features.npz", allow_pickle=False) as content:
        paths, features = content["paths"], content["features"]
    assert paths.tolist() == ["album/a.jpg", "album/b.jpg"]
    image = contract_for().preprocessing.transform()(decode_image(album / "a.jpg"), np.random.default_rng(0))
    expected = NetworkPredictor(squeezenet, contract_for().preprocessing).features(image[np.newaxis])
    assert features.dtype == np.float32
    assert np.abs(features - expected).max() < 1e-5


def test_an_interrupted_run_is_gone_on_with(photos, exports, tmp_path):
    """Killed in the middle, and gone on with: each picture once, in order, as if nothing had happened."""
    folder = tmp_path / "many"
    folder.mkdir()
    names = [f"{number:03}.jpg" for number in range(150)]
    for name in names:
        os.link(photos / "plain.jpg", folder / name)
    arguments = ["predict.input=many", f"predict.source={exports['float']}", "run.name=told", "predict.resume=true"]
    file = tmp_path / "outputs" / "told" / "predictions.jsonl"
    with starter(tmp_path) as start:
        process = start(*arguments, program="imgcls.predict")
        wait_for(lambda: file.is_file() and file.stat().st_size > 5000, process)
        process.kill()
        process.wait()
        before = len(told(tmp_path)) if file.read_bytes().endswith(b"\n") else None
        assert before != len(names)
        assert "of 150 pictures were done before" in finish(start(*arguments, program="imgcls.predict"))
        assert [record["path"] for record in told(tmp_path)] == [f"many/{name}" for name in names]
        again = start(*arguments, "predict.topk=1", program="imgcls.predict")
        assert "topk was 5, now 1" in finish(again, USER_ERROR)


def test_a_table_for_spreadsheets_a_threshold_and_folders(photos, exports, run_program, tmp_path):
    """Together, in one call and again after it; the pictures are called as people call them."""
    album = tmp_path / "我的照片"
    album.mkdir()
    for name, picture in {"=photo (1).jpg": "plain.jpg", "b.png": "alpha.png", "c.webp": "wide.webp"}.items():
        shutil.copy(photos / picture, album / name)
    before = {path.name: path.read_bytes() for path in album.iterdir()}
    words = [
        "predict.input='我的照片'",
        f"predict.source={exports['float']}",
        "predict.topk=2",
        "predict.threshold=0.3",
    ]
    words += ["predict.format=csv", "predict.sort_to='分类'", "predict.resume=true"]
    for _ in range(2):
        result = predict(run_program, tmp_path, *words)
        records = told(tmp_path)
        sure = [record["top"][0]["score"] >= 0.3 for record in records]
        assert set(sure) == {True, False}, records
        answers = [record["top"][0]["name"] if good else "unknown" for record, good in zip(records, sure, strict=True)]
        assert [record["answer"] for record in records] == answers
        found = {
            str(path.relative_to(tmp_path / "分类")): path.read_bytes() for path in (tmp_path / "分类").rglob("*.*")
        }
        names = [os.path.basename(record["path"]) for record in records]
        assert found == {f"{answer}/{name}": before[name] for answer, name in zip(answers, names, strict=True)}
    assert {path.name: path.read_bytes() for path in album.iterdir()} == before
    assert f"unknown, below predict.threshold=0.3: {sure.count(False)} of 3" in result.stderr
    with (tmp_path / "outputs" / "told" / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "answer", "class", "name", "score", "class_2", "name_2", "score_2"]
    for row, record in zip(rows, records, strict=True):
        first, second = record["top"]
        assert row["path"] == record["path"]
        assert (row["answer"], row["name"], row["name_2"]) == (record["answer"], first["name"], second["name"])
        assert (int(row["class"]), float(row["score"])) == (first["class"], pytest.approx(first["score"], abs=1e-6))


def test_answers_that_features_do_not_have(ask, tmp_path):
    said = ask("predict", "predict.input=x", "predict.output=features", "predict.threshold=0.5", cwd=tmp_path)
    assert said.returncode == USER_ERROR
    assert "predict.threshold=0.5 is for classes" in said.stderr


def test_what_an_export_does_not_give(album, exports, run_program, tmp_path):
    arguments = (f"predict.source={exports['float']}", "predict.input=album", "predict.output=features")
    result = predict(run_program, tmp_path, *arguments, check=False)
    assert result.returncode == USER_ERROR
    assert "gives logits. For features, export with export.output=features" in result.stderr


MISTAKES = {
    "nothing there": (["predict.input=nowhere.jpg"], ["nothing at", "nowhere.jpg"]),
    "nothing matches": (["predict.input='album/*.tiff'"], ["No file matches the pattern album/*.tiff"]),
    "no input": ([], ["predict.input is required"]),
    "no source": (["predict.input=album", "predict.source=gone"], ["gone", "no such run"]),
    "engine": (["predict.input=album", "predict.engine=jit"], ["predict.engine=jit is for exports"]),
    "engine's option": (["predict.input=album", "predict.gpu_id=0"], ["predict.gpu_id=0 is for exports"]),
    "no weights": (["predict.input=album", "model=resnet18"], ["No weights are given for resnet18"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case, album, run_program, tmp_path):
    arguments, expected = MISTAKES[case]
    result = predict(run_program, tmp_path, *arguments, check=False)
    assert result.returncode == USER_ERROR, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    for text in expected:
        assert text in result.stderr


def test_topk_beyond_the_classes_of_an_export(album, exports, run_program, tmp_path):
    """Found before a picture is read: not one is reported as broken."""
    arguments = (f"predict.source={exports['float']}", "predict.input=album", "predict.topk=1001")
    result = predict(run_program, tmp_path, *arguments, check=False)
    assert result.returncode == USER_ERROR
    assert "predict.topk=1001: there are only 1000 classes" in result.stderr
    assert "c.jpg" not in result.stderr


def test_a_damaged_export(album, exports, run_program, tmp_path):
    copy = shutil.copytree(exports["float"], tmp_path / "copy")
    (copy / "inference.pdiparams").write_bytes(b"\0" * 1000)
    result = predict(run_program, tmp_path, "predict.source=copy", "predict.input=album", check=False)
    assert result.returncode == USER_ERROR
    assert "inference.pdiparams is damaged" in result.stderr
