"""Data sets: samples as a function of seed, epoch and index."""

import os

import numpy as np
import paddle
import pytest
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.data.pictures.decode import decode_image
from imgcls.data.pictures.transforms import eval_transform
from imgcls.errors import UserError


@pytest.fixture(scope="module")
def photos():
    return build_samples("sample")


def test_a_sample(photos):
    dataset = ImageDataset(photos, train_transform(64))
    assert isinstance(dataset, paddle.io.Dataset)
    assert len(dataset) == 85
    image, label, index = dataset[(3, 20)]
    assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
    assert (label, index) == (photos.label(20), 20)
    assert (label.dtype, index.dtype) == (np.int64, np.int64)


def test_augmentation_is_a_function_of_seed_epoch_and_index(photos):
    dataset = ImageDataset(photos, train_transform(32), seed=5)
    image = dataset[(2, 7)][0]
    dataset[(0, 1)], dataset[(9, 9)]
    assert (dataset[(2, 7)][0] == image).all()
    assert (ImageDataset(photos, train_transform(32), seed=5)[(2, 7)][0] == image).all()
    assert (dataset[(3, 7)][0] != image).any()
    assert (ImageDataset(photos, train_transform(32), seed=6)[(2, 7)][0] != image).any()


def test_a_plain_index_is_epoch_0(photos):
    dataset = ImageDataset(photos, train_transform(32))
    assert (dataset[7][0] == dataset[(0, 7)][0]).all()
    evaluation = ImageDataset(photos, eval_transform(32, 40))
    assert (evaluation[7][0] == evaluation[(4, 7)][0]).all()


def test_no_sample_beyond_the_last(photos):
    with pytest.raises(IndexError):
        ImageDataset(photos, eval_transform(32, 40))[85]


def test_a_bad_file_is_named(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "bad.jpg").write_text("no image")
    dataset = ImageDataset(build_samples("folder", os.fspath(tmp_path)), eval_transform(32, 40))
    with pytest.raises(UserError, match=r"cat/bad\.jpg is not an image"):
        dataset[0]


def test_the_pixel_limit_reaches_the_decoder(photos):
    with pytest.raises(UserError, match="more than the limit of 100"):
        ImageDataset(photos, eval_transform(32, 40), max_pixels=100)[0]


def test_synthetic_images():
    samples = synthetic_samples(20, 4)
    assert samples.class_counts().tolist() == [5, 5, 5, 5]
    dataset = SyntheticDataset(samples, 30, seed=1)
    image, label, index = dataset[(0, 6)]
    assert (image.shape, image.dtype, label, index) == ((30, 30, 3), np.uint8, 2, 6)
    assert (image == dataset[(5, 6)][0]).all()
    assert (image != dataset[(0, 7)][0]).any()
    assert (image != SyntheticDataset(samples, 30, seed=2)[6][0]).any()


def test_synthetic_classes_can_be_told_apart():
    dataset = SyntheticDataset(synthetic_samples(40, 4), 32)
    images = np.stack([dataset[i][0] for i in range(40)]).astype(float)
    labels = np.array([dataset[i][1] for i in range(40)])
    centres = np.stack([images[:20][labels[:20] == label].mean(axis=0) for label in range(4)])
    distances = ((images[20:, None] - centres) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == labels[20:]).all()


def test_large_photos_are_decoded_at_the_resolution_that_the_crop_needs(tmp_path):
    """The same crop but for rounding; the same bits where nothing is to be gained."""
    (tmp_path / "train" / "a").mkdir(parents=True)
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    coarse.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "train" / "a" / "0.jpg", exif=exif)
    samples = build_samples("folder", os.fspath(tmp_path))
    whole = decode_image(samples.path(0))
    assert whole.size == (1200, 1600)
    same = 0
    for transform in (train_transform(300), eval_transform(300, 336), train_transform(300, rotation=10)):
        dataset = ImageDataset(samples, transform, seed=1)
        for epoch in range(12):
            expected = transform(whole, np.random.default_rng([1, epoch, 0]))
            image = dataset[(epoch, 0)][0]
            assert np.abs(image.astype(int) - expected).mean() < 1.5
            same += int((image == expected).all())
    assert 12 < same < 24  # all that are rotated, no crop for evaluation, some small ones for training
