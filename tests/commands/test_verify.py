"""``imgcls.verify``: every kind of problem is found, in every format, with any number of processes."""

import csv
import json
import os
import shlex
import shutil
import signal
import sys

import numpy as np
import pytest
from locations import ROOT
from PIL import Image

from imgcls.app.next_steps import python_command
from imgcls.data.checking.file_check import check_files
from imgcls.data.checking.verification import Verification
from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.errors import UserError

sys.path.insert(0, str(ROOT / "scripts"))
from make_shards import write_shards


@pytest.fixture
def photos(tmp_path):
    """Two classes, six noise pictures each for training and two for validation."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name in ("cat", "собака"):
            directory = tmp_path / "photos" / split / name
            directory.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(directory / f"{number}.jpg")
    return tmp_path / "photos"


def spoil(photos):
    """One file of each kind, and what the report says of it: kind, split, path from the root, label."""
    train, val = photos / "train", photos / "val"
    (train / "cat" / "1.jpg").write_text("no picture")
    (train / "cat" / "2.jpg").write_bytes((train / "cat" / "3.jpg").read_bytes()[:900])
    (val / "cat" / "0.jpg").write_bytes(b"")
    Image.new("RGB", (31, 500)).save(train / "собака" / "0.jpg")
    shutil.copy(train / "cat" / "4.jpg", val / "cat" / "1.jpg")
    shutil.copy(train / "cat" / "5.jpg", train / "собака" / "5.jpg")
    shutil.copy(train / "собака" / "1.jpg", train / "собака" / "2.jpg")
    return {
        ("unreadable", "train", "train/cat/1.jpg", "0"),
        ("unreadable", "train", "train/cat/2.jpg", "0"),
        ("unreadable", "val", "val/cat/0.jpg", "0"),
        ("tiny", "train", "train/собака/0.jpg", "1"),
        ("conflict", "train", "train/собака/5.jpg", "1"),
        ("duplicate", "train", "train/собака/2.jpg", "1"),
        ("duplicate", "val", "val/cat/1.jpg", "0"),
    }


def report(directory):
    with (directory / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def found(rows, root):
    return {(row["kind"], row["split"], os.path.relpath(row["path"], root), row["label"]) for row in rows}


def test_bundled_photos_are_in_order(run_program, tmp_path):
    result = run_program("verify", "run.name=checked", cwd=tmp_path)
    assert "85 training and 36 validation pictures in 5 classes" in result.stderr
    assert f"no problems\nto train: {python_command()} -m imgcls.train\n" in result.stderr
    summary = json.loads((tmp_path / "outputs" / "checked" / "summary.json").read_text())
    assert summary["images"] == {"train": 85, "val": 36}
    assert set(summary["problems"].values()) == {0}
    assert report(tmp_path / "outputs" / "checked") == []


def test_everything_wrong_with_a_folder(run_program, photos, tmp_path):
    expected = spoil(photos)
    (photos / "train" / "ящик").mkdir()
    (photos / "train" / "@eaDir").mkdir()
    (photos / "train" / "cat" / "notes.txt").touch()
    (photos / "train" / "cat" / "._0.jpg").touch()
    result = run_program("verify", "data=folder", "data.root=photos", "run.name=x", cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "error: 9 problems: 3 unreadable, 1 tiny, 1 conflict, 2 duplicate, 2 empty class." in result.stderr
    assert "photos/train/cat/1.jpg is not an image" in result.stderr
    rows = report(tmp_path / "outputs" / "x")
    assert found([row for row in rows if row["kind"] != "empty class"], "photos") == expected
    assert [row["detail"] for row in rows if row["kind"] == "empty class"] == ["no image of 'ящик'"] * 2
    assert [row["detail"] for row in rows if row["kind"] == "tiny"] == ["31 x 500 pixels"]
    twins = {row["kind"]: row["detail"] for row in rows if row["kind"] in ("conflict", "duplicate")}
    assert twins["conflict"] == "the same file as photos/train/cat/5.jpg, which is of 'cat'"
    assert twins["duplicate"] == "the same file as photos/train/cat/4.jpg"
    command = f"{python_command()} -m imgcls.train data=folder data.root=photos data.on_error=skip"
    assert f"to train all the same: {command}\n" in result.stderr
    assert "train: left out 2 files: 1 .txt, 1 hidden; directories @eaDir (1)\n" in result.stderr
    summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
    assert summary["problems"]["unreadable"] == 3
    assert summary["left_out"] == {"train": {".txt": 1, "hidden": 1, "@eaDir": 1}}


def test_the_command_to_train_can_be_pasted(run_program, photos, tmp_path):
    (photos / "val").rename(tmp_path / "elsewhere")
    (photos / "train").rename(tmp_path / "我的 照片 (1)")
    words = ("data=folder", "data.root=我的 照片 (1)", "data.val_share=0.2")
    result = run_program("verify", *words, cwd=tmp_path)
    command = shlex.split(result.stderr.rpartition("to train: ")[2])
    assert command[3:] == ["data=folder", 'data.root="我的 照片 (1)"', "data.val_share=0.2"]
    assert "10 training and 2 validation pictures in 2 classes" in result.stderr


def test_wrong_lines_and_missing_files_of_a_list(run_program, photos, tmp_path):
    lines = [f"train/cat/{i}.jpg 0\n" for i in range(6)] + [f"train/собака/{i}.jpg 1\n" for i in range(6)]
    lines += ["train/cat/7.jpg 1\n", "train/cat/0.jpg 5\n", "train/cat/0.jpg\n"]
    (photos / "train_list.txt").write_text("".join(lines))
    (photos / "val_list.txt").write_text("val/cat/0.jpg 0\nval/собака/0.jpg 9\n")
    arguments = ("data=list", "data.root=photos", "data.num_classes=3", "run.name=x")
    result = run_program("verify", *arguments, cwd=tmp_path, check=False)
    assert result.returncode == 2
    rows = report(tmp_path / "outputs" / "x")
    wrong = [(row["path"], row["detail"]) for row in rows if row["kind"] == "wrong line"]
    assert wrong == [
        ("train_list.txt", "line 14: the label 5 is outside 0 to 2 (3 classes): 'train/cat/0.jpg 5'"),
        ("train_list.txt", "line 15: no label after the path: 'train/cat/0.jpg'"),
        ("val_list.txt", "line 2: the label 9 is outside 0 to 2 (3 classes): 'val/собака/0.jpg 9'"),
    ]
    unreadable = [row["detail"] for row in rows if row["kind"] == "unreadable"]
    assert unreadable == ["Cannot open the image photos/train/cat/7.jpg: No such file or directory."]
    empty = [(row["split"], row["label"]) for row in rows if row["kind"] == "empty class"]
    assert empty == [("train", "2"), ("val", "1"), ("val", "2")]


@pytest.mark.parametrize(("format", "num_workers"), [("folder", 0), ("folder", 3), ("tar", 1)])
def test_format_and_number_of_processes_change_nothing(photos, format, num_workers):
    expected = spoil(photos)
    root = photos
    if format == "tar":
        root = photos.with_name("shards")
        for split in ("train", "val"):
            write_shards(build_samples("folder", photos, split=split), root / split, shard_mb=1000, listed=False)
    splits = {split: build_samples(format, root, split=split) for split in ("train", "val")}
    verification = Verification(splits, min_size=32)
    for split, samples in splits.items():
        for check in check_files(samples, num_workers):
            verification.add(split, check)
    problems = verification.finish()
    assert [problem.kind for problem in problems] == ["unreadable"] * 3 + ["tiny", "conflict"] + ["duplicate"] * 2
    paths = [os.path.relpath(one.path, root).replace("/00000.tar", "") for one in problems]
    labels = [str(one.label) for one in problems]
    assert {
        *zip([one.kind for one in problems], [one.split for one in problems], paths, labels, strict=True)
    } == expected


def test_pictures_that_look_the_same(tmp_path):
    pytest.importorskip("dhash")
    photos = build_samples("sample")
    for index, split, name, options in (
        (0, "train", "a/0.jpg", {}),
        (1, "train", "b/1.jpg", {}),
        (40, "val", "a/2.jpg", {}),
        (0, "val", "a/saved again.jpg", {"quality": 50}),  # of validation, in training
        (1, "train", "a/smaller.webp", {}),  # in two classes
        (40, "val", "a/twin.png", {}),  # of one split and class: no harm
    ):
        path = tmp_path / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photos.path(index)) as image:
            image.convert("RGB").resize((200, 150)).save(path, **options)
    splits = {split: build_samples("folder", tmp_path, split=split) for split in ("train", "val")}
    found = {}
    for looks in (False, True):
        verification = Verification(splits)
        for split, samples in splits.items():
            for check in check_files(samples, 0, looks=looks):
                verification.add(split, check)
        found[looks] = {
            (one.kind, os.path.relpath(one.path, tmp_path), one.detail.replace(f"{tmp_path}/", ""))
            for one in verification.finish()
            if one.kind != "empty class"
        }
    assert found[False] == set()
    assert found[True] == {
        ("look-alike", "val/a/saved again.jpg", "looks the same as train/a/0.jpg"),
        ("conflict", "train/b/1.jpg", "looks the same as train/a/smaller.webp, which is of 'a'"),
    }


def test_a_file_that_kills_the_process_is_among_those_named():
    class Deadly:
        def __init__(self, samples):
            self.samples = samples

        def __len__(self):
            return len(self.samples)

        def path(self, index):
            return self.samples.path(index)

        def source(self, index):
            if index == 50:
                os.kill(os.getpid(), signal.SIGKILL)
            return self.samples.source(index)

    samples = build_samples("folder", SAMPLE_PHOTOS)
    with pytest.raises(UserError) as caught:
        list(check_files(Deadly(samples), 2))
    assert samples.path(50) in str(caught.value)
    assert str(caught.value).count(".jpg") == 1  # it is known which process that was, and what it was at
    assert "verify.num_workers=1" in str(caught.value)
