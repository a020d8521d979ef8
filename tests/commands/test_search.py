"""``imgcls.search`` as a user types it: an index and a page of a data set, and what is like a photo."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from chromium import chromium
from PIL import Image

from imgcls.data.formats.build import SAMPLE_PHOTOS

FEATURES = ("predict.input=我的 photos", "predict.output=features", "run.name=features")


@pytest.fixture(scope="module")
def place(run_program, tmp_path_factory):
    """Photos of two classes in both splits, with a mirrored copy in another class, one saved again in the other
    split, and noise; their features, their index, and what was asked of it."""
    directory = tmp_path_factory.mktemp("search")
    photos = directory / "我的 photos"
    for split, count in (("train", 14), ("val", 4)):
        for name in ("fish", "tool"):
            (photos / split / name).mkdir(parents=True)
            for photo in sorted((SAMPLE_PHOTOS / split / name).glob("*.jpg"))[:count]:
                shutil.copy(photo, photos / split / name)
    fish = sorted((photos / "train/fish").glob("*.jpg"))
    with Image.open(fish[7]) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "train/tool/photo (1).jpg", quality=95)
    with Image.open(fish[5]) as image:
        image.save(photos / "val/fish/again.jpg", quality=80)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(photos / "train/fish/<b>&noise.png")
    run_program("predict", *FEATURES, cwd=directory)
    elsewhere = directory / "elsewhere"  # paths that were relative count from where the prediction was asked for
    elsewhere.mkdir()
    words = ("build", "../outputs/features", "data.root=../我的 photos", "run.root=../outputs", "run.name=index")
    (directory / "said").write_text(run_program("search", *words, cwd=elsewhere).stderr, encoding="utf-8")
    return directory


def rows(file) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        return list(csv.DictReader(opened))


def names(found) -> list[str]:
    return [row["path"].rpartition("/")[2] for row in found]


def test_copies_in_two_classes_and_both_splits_are_found(place):
    copies = rows(place / "outputs/index/duplicates.csv")
    fish = sorted(path.name for path in (SAMPLE_PHOTOS / "train/fish").glob("*.jpg"))
    assert {frozenset(names(row for row in copies if row["group"] == group)) for group in ("1", "2")} == {
        frozenset([fish[7], "photo (1).jpg"]),
        frozenset([fish[5], "again.jpg"]),
    }
    assert {row["class"] for row in copies} == {"fish", "tool"}
    assert all(0.9 <= float(row["similarity"]) <= 1 for row in copies)
    assert "groups of copies: 2 (2 of them in two classes or in both splits)" in (place / "said").read_text("utf-8")


def test_noise_is_an_outlier(place):
    assert names(rows(place / "outputs/index/outliers.csv"))[0] == "<b>&noise.png"


def test_a_fish_among_the_tools_is_a_likely_wrong_label(place):
    pytest.importorskip("cleanlab")
    wrong = {row["path"].rpartition("/")[2]: row for row in rows(place / "outputs/index/labels.csv")}
    row = wrong["photo (1).jpg"]
    assert (row["class"], row["split"], row["suggested"]) == ("tool", "train", "fish")
    assert float(row["probability"]) < 0.5 < float(row["probability_of_suggested"])
    assert len(wrong) < 6


def test_the_page_loads_nothing_and_fits_a_phone(place, tmp_path):
    page = (place / "outputs/index/search.html").read_text("ascii")
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page
    assert "<script" not in page
    assert "fish/&lt;b&gt;&amp;noise.png" in page
    assert set(re.findall(r'src="([^,]*)', page)) == {"data:image/jpeg;base64"}
    with chromium(tmp_path / "profile") as driver:
        size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get((place / "outputs/index/search.html").as_uri())
        assert driver.get_log("browser") == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 400
        broken = "return [...document.images].filter((image) => !image.naturalWidth).length"
        assert driver.execute_script(broken) == 0


def test_the_pictures_most_like_one(place, run_program):
    """The features of a photo of the index, computed for the question, are those of the index; itself is no answer."""
    again = place / "我的 photos/val/fish/again.jpg"
    shutil.copy(again, place / "new.jpg")
    words = ("query", "outputs/index", "new.jpg", str(again), "run.name=like", "search.topk=3", "search.engine=numpy")
    said = run_program("search", *words, cwd=place).stderr
    found = [json.loads(line) for line in (place / "outputs/like/similar.jsonl").read_text("utf-8").splitlines()]
    new, old = found
    assert [len(one["similar"]) for one in found] == [3, 3]
    best = new["similar"][0]
    assert (best["path"], best["class"]) == (str(again), "fish")
    assert best["similarity"] == pytest.approx(1, abs=1e-5)
    assert [one["path"] for one in old["similar"][:2]] == [one["path"] for one in new["similar"][1:]]
    assert f"  1.000  fish  {again}" in said
    page = (place / "outputs/like/similar.html").read_text("ascii")
    assert page.count("<img ") == 8


def test_labels_of_what_is_packed_are_not_known(ask, tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"")
    words = ("data=zip", "data.root=photos.zip")
    assert "labels are taken from data=folder" in ask("search", "build", ".", *words, cwd=tmp_path).stderr


def test_what_cannot_be_is_refused(place, run_program, ask, tmp_path):
    """In one message each; the network of an index is opened by nothing but words about networks."""
    assert "must be one of build, query" in ask("search", "find", ".", cwd=place).stderr
    assert "search.source is required" in ask("search", "build", cwd=place).stderr
    assert "search.input is required" in ask("search", "query", "outputs/index", cwd=place).stderr
    assert "there is no such directory" in ask("search", "build", "outputs/none", cwd=place).stderr
    assert "search.input=x.jpg is for query" in ask("search", "build", "outputs/features", "x.jpg", cwd=place).stderr
    other = ask("search", "build", "outputs/index", "run.name=other", cwd=place)
    assert "It holds an index: name it to imgcls.search query." in other.stderr
    strange = ask("search", "build", "outputs/features", "data=sample", "run.name=other", cwd=place)
    assert "None of the" in strange.stderr
    assert not (place / "outputs/other").exists()
    shutil.copytree(place / "outputs/index", tmp_path / "index")
    facts = json.loads((tmp_path / "index/index.json").read_text("utf-8"))
    changed = {**facts, "command": ["hydra.callbacks.x._target_=os.abort"]}
    (tmp_path / "index/index.json").write_text(json.dumps(changed))
    answer = run_program("search", "query", tmp_path / "index", "new.jpg", cwd=tmp_path, check=False)
    assert (answer.returncode, "Traceback" in answer.stderr) == (2, False)
    assert "'hydra.callbacks.x._target_=os.abort' says nothing of a network" in answer.stderr
