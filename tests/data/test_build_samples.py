"""From settings to samples: the formats, their defaults, and the class names."""

import csv

import pytest

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.pictures.decode import decode_image
from imgcls.errors import UserError


def make(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return str(root)


def names(samples):
    return [samples.path(i).rpartition("/")[2] for i in range(len(samples))]


def refusal(*arguments, **options):
    with pytest.raises(UserError) as caught:
        build_samples(*arguments, **options)
    return str(caught.value)


def test_bundled_photos():
    train, val = (build_samples("sample", split=split) for split in ("train", "val"))
    assert train.class_names == val.class_names == ("fish", "land_animal", "monument", "renewable", "tool")
    assert train.class_counts().tolist() == [20, 10, 18, 20, 17]
    assert val.class_counts().tolist() == [8, 4, 8, 8, 8]
    for samples in (train, val):
        for i in range(len(samples)):
            assert min(decode_image(samples.path(i)).size) >= 60


def test_every_bundled_photo_is_attributed():
    with (SAMPLE_PHOTOS / "ATTRIBUTION.csv").open(newline="") as file:
        attributed = {row["file"] for row in csv.DictReader(file) if row["author"] and row["license"]}
    assert attributed == {path.relative_to(SAMPLE_PHOTOS).as_posix() for path in SAMPLE_PHOTOS.glob("*/*/*")}
    assert len(attributed) == 121


def test_folder_needs_nothing_but_its_root(tmp_path):
    root = make(tmp_path, "train/b/1.jpg", "train/a/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
    train, val = (build_samples("folder", root, split=split) for split in ("train", "val"))
    assert (names(train), train.labels.tolist(), train.class_names) == (["2.jpg", "1.jpg"], [0, 1], ("a", "b"))
    assert (names(val), val.labels.tolist()) == (["3.jpg", "4.jpg"], [0, 1])


def test_folder_splits_must_agree(tmp_path):
    root = make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/c/4.jpg")
    message = refusal("folder", root, split="val")
    assert "'c' is not a class of the training images" in message
    assert "'b' is missing" in message


@pytest.mark.parametrize("in_val", [("val/a/3.jpg", "val/b/4.txt"), ("val/a/3.jpg",)])
def test_a_class_without_images_is_an_error_in_training_only(tmp_path, in_val):
    root = make(tmp_path, "train/a/1.jpg", "train/b/2.txt", *in_val)
    assert "class 1 'b'" in refusal("folder", root)
    assert "class 0 'x'" in refusal("folder", root, class_names=("x", "a", "b"))
    assert len(build_samples("folder", root, split="val")) == 1
    assert len(build_samples("folder", root, allow_empty_classes=True)) == 1


def test_folder_without_the_split(tmp_path):
    root = make(tmp_path, "cats/1.jpg", "dogs/2.jpg")
    assert f"{root} has no directory 'train'" in refusal("folder", root)
    assert "does not exist" in refusal("folder", f"{root}/none")
    assert "Set data.root" in refusal("folder")


def test_validation_folder_alone_with_a_checkpoints_names(tmp_path):
    root = make(tmp_path, "val/a/1.jpg", "val/b/2.jpg")
    samples = build_samples("folder", root, split="val", class_names=("b", "a"))
    assert (names(samples), samples.labels.tolist()) == (["2.jpg", "1.jpg"], [0, 1])
    assert "'a' is not a class" in refusal("folder", root, split="val", class_names=("x", "b"))


def test_class_map_orders_the_folders(tmp_path):
    root = make(tmp_path, "train/a/1.jpg", "train/b/2.jpg")
    (tmp_path / "map.txt").write_text("0 b\n1 a\n")
    samples = build_samples("folder", root, class_map=f"{root}/map.txt")
    assert samples.class_names == ("b", "a")
    assert names(samples) == ["2.jpg", "1.jpg"]


def test_imagenets_folders_get_their_names(tmp_path):
    root = make(tmp_path, *(f"train/n{10_000_000 + i}/x.jpg" for i in range(1000)))
    make(tmp_path, *(f"val/n{10_000_000 + i}/x.jpg" for i in range(1000)))
    samples = build_samples("folder", root)
    assert samples.class_names == default_class_names(1000)
    assert samples.path(281).endswith("train/n10000281/x.jpg")
    again = build_samples("folder", root, split="val", class_names=samples.class_names)
    assert again.class_names == samples.class_names


def test_list_needs_nothing_but_its_root(tmp_path):
    root = make(tmp_path, "images/a b.jpg", "images/c.jpg")
    (tmp_path / "train_list.txt").write_text("images/a b.jpg 1\nimages/c.jpg 0\n")
    (tmp_path / "val_list.txt").write_text("images/c.jpg 0\n")
    train, val = (build_samples("list", root, split=split) for split in ("train", "val"))
    assert (names(train), train.labels.tolist()) == (["a b.jpg", "c.jpg"], [1, 0])
    assert val.class_names == train.class_names == ("0", "1")


def test_lists_elsewhere(tmp_path, monkeypatch):
    root = make(tmp_path, "data/c.jpg", "data/lists/in_root.txt") + "/data"
    for path in ("data/lists/in_root.txt", "here.txt"):
        (tmp_path / path).write_text("c.jpg 0\n")
    monkeypatch.chdir(tmp_path)
    for given in ("lists/in_root.txt", "here.txt", f"{tmp_path}/here.txt"):
        assert names(build_samples("list", root, train_list=given)) == ["c.jpg"]


def test_a_wrong_list_path_names_where_it_looked(tmp_path):
    root = make(tmp_path, "data/c.jpg") + "/data"
    message = refusal("list", root, train_list="trian_list.txt")
    assert "There is no list of the train images at" in message
    assert f"{root}/trian_list.txt" in message
    assert "Set data.train_list" in message
    assert f"{root}/val_list.txt. Set data.val_list" in refusal("list", root, split="val")


def test_list_labels_against_the_class_count(tmp_path):
    root = make(tmp_path, "c.jpg")
    (tmp_path / "train_list.txt").write_text("c.jpg 0\nc.jpg 5\n")
    (tmp_path / "map.txt").write_text("0 cat\n1 dog\n")
    assert "line 2: the label 5 is outside 0 to 2" in refusal("list", root, num_classes=3)
    assert "line 2: the label 5 is outside 0 to 1" in refusal("list", root, class_map=f"{root}/map.txt")
    assert "model.num_classes is 3" in refusal("list", root, class_map=f"{root}/map.txt", num_classes=3)
    (tmp_path / "val_list.txt").write_text("c.jpg 9\n")
    assert "val_list.txt are wrong:\n  line 1: the label 9 is outside 0 to 5" in refusal("list", root, split="val")


def test_class_count_of_a_folder(tmp_path):
    root = make(tmp_path, "train/a/1.jpg", "train/b/2.jpg")
    assert build_samples("folder", root, num_classes=2).num_classes == 2
    assert "model.num_classes is 10, but" in (message := refusal("folder", root, num_classes=10))
    assert "has 2 classes" in message


def test_synthetic():
    samples = build_samples("synthetic", num_classes=7, num_samples=21)
    assert samples.class_counts().tolist() == [3] * 7
    assert build_samples("synthetic").num_classes == 10


def test_unknown_format_and_split():
    assert "no data format 'folders'. Did you mean 'folder'?" in refusal("folders")
    assert "no split 'test'" in refusal("sample", split="test")


@pytest.mark.parametrize(("training", "validation"), [("Train", "Val"), ("train", "valid"), ("TRAINING", "Validation")])
def test_splits_by_their_other_names(tmp_path, training, validation):
    root = make(tmp_path, f"{training}/a/1.jpg", f"{training}/b/2.jpg", f"{validation}/a/3.jpg", "test/a/4.jpg")
    make(tmp_path, f"{validation}/b/5.jpg")
    assert names(build_samples("folder", root)) == ["1.jpg", "2.jpg"]
    assert names(build_samples("folder", root, split="val")) == ["3.jpg", "5.jpg"]
    assert f"has a directory '{validation}' already: leave data.val_share out" in refusal("folder", root, val_share=0.5)


def test_classes_are_not_taken_for_splits(tmp_path):
    root = make(tmp_path, "Train/1.jpg", "car/2.jpg", "valid/3.jpg")
    assert build_samples("folder", root, val_share=0).class_names == ("Train", "car", "valid")
    root = make(tmp_path / "two", "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "Val/b/4.jpg")
    assert names(build_samples("folder", root, split="val")) == ["3.jpg"]
