"""A share of each class for validation: of every class, the same everywhere, never one picture on both sides."""

import os
import unicodedata

import pytest

from imgcls.data.formats.build import build_samples
from imgcls.errors import UserError


def put(root, *paths, content=None):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if content is not None else str(path).encode())


def both(root, format="folder", share=0.2, **options):
    return tuple(
        {os.fsdecode(one.relative_path(i)) for i in range(len(one))}
        for one in (build_samples(format, root, split=split, val_share=share, **options) for split in ("train", "val"))
    )


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "我的照片"
    for name, count in {"cat": 50, "café": 10, "rare": 2, "one": 1}.items():
        put(root, *(f"{name}/photo ({number}).jpg" for number in range(count)))
    return root


def test_every_class_gives_its_share(tree):
    train, val = both(tree)
    assert (len(train), len(val)) == (50, 13)
    assert not train & val
    counts = {name: sum(path.startswith(f"{name}/") for path in val) for name in ("cat", "café", "rare", "one")}
    assert counts == {"cat": 10, "café": 2, "rare": 1, "one": 0}
    assert both(tree, val_seed=1)[1] != val
    samples = build_samples("folder", tree, split="val", val_share=0.2)
    assert samples.class_names == ("café", "cat", "one", "rare")


def test_the_same_on_another_machine(tree, tmp_path):
    val = both(tree)[1]
    for path in sorted(tree.rglob("*.jpg"), reverse=True):
        put(tmp_path / "mac", unicodedata.normalize("NFD", str(path.relative_to(tree))), content=path.read_bytes())
    assert {unicodedata.normalize("NFC", path) for path in both(tmp_path / "mac")[1]} == val
    put(tree, "cat/new.jpg")
    assert len(both(tree)[1] ^ val) <= 2  # one more picture changes places with one at most
    expected = {"café/photo (0).jpg", "café/photo (2).jpg"}
    assert {path for path in val if path.startswith("café")} == expected


def test_equal_files_are_on_one_side(tmp_path):
    for number in range(30):
        put(tmp_path, f"a/{number}.jpg", f"a/copy of {number}.jpg", content=b"a%02d" % number * 3000)
        put(tmp_path, f"b/{number}.jpg", content=b"b%02d" % number * 3000)
    put(tmp_path, "a/both.jpg", "b/both.jpg", content=b"in two classes")
    for seed in range(5):
        train, val = both(tmp_path, share=0.5, val_seed=seed)
        contents = [{(tmp_path / path).read_bytes() for path in side} for side in (train, val)]
        assert not contents[0] & contents[1]
        assert len(val) == 30 + 16
        assert {"a/both.jpg", "b/both.jpg"} <= train


def test_a_tree_with_train_alone(tree, tmp_path):
    tree.rename(tmp_path / "x")
    (tree / "train").parent.mkdir()
    (tmp_path / "x").rename(tree / "train")
    assert len(both(tree)[1]) == 13
    (tree / "val").mkdir()
    with pytest.raises(UserError, match=r"has a directory 'val' already: leave data\.val_share out"):
        both(tree)


def test_a_class_called_train(tmp_path):
    put(tmp_path, *(f"{name}/{number}.jpg" for name in ("train", "car", "val") for number in range(5)))
    assert build_samples("folder", tmp_path, val_share=0.2).class_names == ("car", "train", "val")


def test_none_for_validation(tree):
    assert len(build_samples("folder", tree, val_share=0)) == 63
    with pytest.raises(UserError, match=r"no directory 'train'[^\n]*\nOr leave .*data\.val_share=0\.2 takes a fifth"):
        build_samples("folder", tree)


def test_one_list(tree):
    paths = sorted(tree.rglob("*.jpg"))
    labels = {name: label for label, name in enumerate(("café", "cat", "one", "rare"))}
    lines = [f"{path.relative_to(tree)} {labels[path.parent.name]}\n" for path in paths]
    (tree / "train_list.txt").write_text("".join(lines), encoding="utf-8")
    assert both(tree, "list", val_list="val_list.txt") == both(tree)
    (tree / "val_list.txt").write_text(lines[0], encoding="utf-8")
    with pytest.raises(UserError, match=r"there is val_list.txt too. Leave data.val_share out, or set data.val_list=n"):
        both(tree, "list", val_list="val_list.txt")
    assert both(tree, "list", val_list=None) == both(tree)


def test_nothing_to_divide(tmp_path):
    put(tmp_path, "a/1.jpg", "b/1.jpg")
    with pytest.raises(UserError, match=r"no class of .* has two different pictures to divide"):
        both(tmp_path)
