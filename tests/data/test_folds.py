"""Folds: every picture is for validation once, and twins are never on both sides."""

import shutil

import numpy as np
import pytest

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.share import folds_of
from imgcls.errors import UserError


def paths(root, split, **options):
    return build_samples("folder", root, split=split, **options).relative_paths(0, 10_000)


def test_each_picture_is_for_validation_once_and_each_class_is_divided_evenly():
    whole = build_samples("sample")
    fold = folds_of(whole, 5)
    per_class = np.array([np.bincount(fold[whole.labels == label], minlength=5) for label in range(5)])
    assert (np.ptp(per_class, axis=1) <= 1).all()
    assert np.ptp(np.bincount(fold)) <= 1
    for number in range(5):
        options = {"folds": 5, "fold": number}
        val = paths(SAMPLE_PHOTOS, "val", **options)
        assert val == [path for path, own in zip(whole.relative_paths(0, 99), fold, strict=True) if own == number]
        assert not set(val) & set(paths(SAMPLE_PHOTOS, "train", **options))
    assert (folds_of(whole, 5, seed=1) != fold).any()


def test_folds_leave_a_directory_val_aside_and_twins_together(tmp_path):
    for name in ("cat", "dog"):
        for number in range(6):
            (tmp_path / "train" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "train" / name / f"{number}.jpg").write_bytes(b"%d" % (number // 2 + 10 * (name == "dog")))
    (tmp_path / "val" / "cat").mkdir(parents=True)
    for fold in range(3):
        found = paths(tmp_path, "val", folds=3, fold=fold)
        assert len(found) == 4
        assert all((b"%s/%d.jpg" % (p[:3], int(p[4:5]) ^ 1)) in found for p in found)
    shutil.rmtree(tmp_path / "val")
    assert len(paths(tmp_path / "train", "train", folds=3, fold=0)) == 8


def test_too_few_pictures_are_refused(tmp_path):
    for name, count in (("cat", 1), ("dog", 4)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.jpg").write_bytes(b"%d %d" % (number, count))
    with pytest.raises(UserError, match="none is left for training:\n  'cat' \\(1\\)"):
        paths(tmp_path, "train", folds=5, fold=0)
    with pytest.raises(UserError, match="has only 5 different pictures"):
        paths(tmp_path, "train", folds=6, fold=0)
    assert len(paths(tmp_path, "val", folds=5, fold=4, allow_empty_classes=True)) == 1
