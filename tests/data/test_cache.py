"""Decoded images in memory: the same batches, within the budget, shared with the workers."""

import os
import subprocess
import sys

import numpy as np
import pytest
from locations import ROOT
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.decode import BadImage, decode_image
from imgcls.data.pictures.transforms import eval_transform
from imgcls.errors import UserError


@pytest.fixture(scope="module")
def photos():
    return build_samples("sample")


@pytest.fixture
def folder(tmp_path):
    """Four noise images of 400 x 300 pixels and a large, smooth one that comes last."""
    directory = tmp_path / "train" / "a"
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8)).save(directory / f"{number}.png")
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    coarse.resize((4000, 3000), Image.Resampling.BICUBIC).save(directory / "large.jpg", quality=92)
    return build_samples("folder", tmp_path)


def batches_of(samples, transform, cache, num_workers):
    dataset = ImageDataset(samples, transform, seed=2, cache=cache)
    loader = build_loader(dataset, EpochSampler(len(samples), 16, shuffle=True), num_workers)
    return [[tensor.numpy() for tensor in batch] for batch in loader]


@pytest.mark.parametrize("transform", [train_transform(224), train_transform(64, rotation=9), eval_transform(224, 256)])
@pytest.mark.parametrize("budget_mb", [0.5, 100])
def test_batches_are_those_without_a_cache(photos, transform, budget_mb):
    cache = RamCache(photos, transform.decode, budget_mb)
    assert (len(cache) == 85) == (budget_mb == 100)
    assert len(cache) > 0
    expected = batches_of(photos, transform, None, 0)
    for num_workers in (0, 2):
        for batch, wanted in zip(batches_of(photos, transform, cache, num_workers), expected, strict=True):
            for tensor, other in zip(batch, wanted, strict=True):
                assert (tensor == other).all()


def test_the_budget_is_kept(folder, caplog):
    caplog.set_level("INFO", "imgcls")
    size = 400 * 300 * 3
    cache = RamCache(folder, lambda photo: photo.decode(), 3.5 * size / 1e6)
    assert len(cache) == 3
    assert (np.asarray(cache.get(1)) == np.asarray(decode_image(folder.path(1)))).all()
    assert cache.get(3) is None
    assert "3 of 5 images are held in memory, 1 MB" in caplog.text


def test_large_photos_are_held_as_small_as_any_crop_allows(folder):
    held = [
        RamCache(folder, transform.decode, 1000).get(4).size
        for transform in (train_transform(224), eval_transform(224, 256), train_transform(224, rotation=5))
    ]
    assert held == [(2000, 1500), (500, 375), (4000, 3000)]  # the smallest crop for training has 848 pixels


def test_what_is_held_differs_from_the_file_by_rounding_only(folder):
    for transform in (train_transform(224), eval_transform(224, 256)):
        cache = RamCache(folder, transform.decode, 1000)
        held, read = (ImageDataset(folder, transform, cache=one)[(1, 4)][0].astype(int) for one in (cache, None))
        assert np.abs(held - read).mean() < 1


def test_files_that_cannot_be_read_are_left_to_whoever_asks(folder):
    with open(folder.path(1), "r+b") as file:
        file.truncate(100)
    transform = eval_transform(32, 36)
    cache = RamCache(folder, transform.decode, 1000)
    assert len(cache) == 4
    with pytest.raises(BadImage, match=r"1\.png"):
        ImageDataset(folder, transform, cache=cache)[1]


def test_a_budget_beyond_the_machine_is_said(folder):
    with pytest.raises(UserError, match="cache_mb=1e\\+12: this machine has no such memory"):
        RamCache(folder, lambda photo: photo.decode(), 1e12)


SHARED = """
import re, sys
import numpy as np
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dataset import ClassificationDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.formats.build import build_samples

samples = build_samples("folder", sys.argv[1])
cache = RamCache(samples, lambda photo: photo.decode(), 200)
assert len(cache) == 5

def private_kb():
    return sum(map(int, re.findall(r"Private_\\w+:\\s+(\\d+) kB", open("/proc/self/smaps_rollup").read())))

class Reading(ClassificationDataset):
    def image(self, epoch, index):
        before = private_kb()
        assert np.asarray(cache.get(4)).sum() > 0
        return np.full((1, 1, 3), min(255, max(0, private_kb() - before) // 1024), np.uint8)

for images, _, _ in build_loader(Reading(samples), EpochSampler(5, 5), 1):
    print(images.numpy().max())
"""


def test_workers_do_not_copy_what_is_held(folder, tmp_path):
    """Reading 36 MB leaves none of them in the worker's own memory."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SHARED, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 20
