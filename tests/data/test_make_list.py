"""``scripts/make_list.py``: lists that read as the tree they were made from."""

import sys

import pytest
from locations import ROOT

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples

sys.path.insert(0, str(ROOT / "scripts"))
from make_list import main


def make_list(*arguments):
    """Exit status."""
    return main([str(argument) for argument in arguments])


def paths(samples):
    return [samples.path(i) for i in range(len(samples))]


@pytest.fixture
def tree(tmp_path):
    """Classes right below the root: ten images of ``a b``, one of ``猫``."""
    for name in (*(f"a b/x {i}.jpg" for i in range(10)), "猫/1.png", "猫/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_lists_of_a_tree_are_the_tree(tmp_path, capsys):
    assert make_list(SAMPLE_PHOTOS, "--output", tmp_path / "lists") == 0
    assert f"{tmp_path}/lists/train_list.txt: 85 images" in capsys.readouterr().out
    lists = {f"{split}_list": f"{tmp_path}/lists/{split}_list.txt" for split in ("train", "val")}
    class_map = tmp_path / "lists" / "classes.txt"
    for split in ("train", "val"):
        listed = build_samples("list", SAMPLE_PHOTOS, **lists, class_map=class_map, split=split, check_files="all")
        loose = build_samples("folder", SAMPLE_PHOTOS, split=split)
        assert paths(listed) == paths(loose)
        assert listed.labels.tolist() == loose.labels.tolist()
        assert listed.class_names == loose.class_names


def test_a_tree_without_splits_is_divided(tree):
    make_list(tree, "--val-share", 0.3)
    train, val = (
        build_samples("list", tree, split=split, class_map=tree / "classes.txt") for split in ("train", "val")
    )
    assert train.class_names == ("a b", "猫")
    assert (train.class_counts().tolist(), val.class_counts().tolist()) == ([7, 1], [3, 0])
    assert sorted(paths(train) + paths(val)) == sorted(map(str, [*tree.glob("a b/*.jpg"), tree / "猫" / "1.png"]))
    lists = (tree / "train_list.txt").read_bytes(), (tree / "val_list.txt").read_bytes()
    make_list(tree, "--val-share", 0.3)
    assert ((tree / "train_list.txt").read_bytes(), (tree / "val_list.txt").read_bytes()) == lists
    make_list(tree, "--val-share", 0.3, "--seed", 1)
    assert (tree / "val_list.txt").read_bytes() != lists[1]


def test_what_cannot_be_listed_is_said(tree, capsys):
    assert make_list(tree) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"error: {tree} has no directory 'train'" in printed.err
    assert "--val-share 0.2" in printed.err
    assert make_list(tree, "--val-share", 1) == 2
    assert "must be between 0 and 1" in capsys.readouterr().err
    (tree / "a b" / "line\nbreak.jpg").touch()
    assert make_list(tree, "--val-share", 0.3) == 2
    assert "a name with a line break" in capsys.readouterr().err
    assert list(tree.glob("*_list.txt")) == []
