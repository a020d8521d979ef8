"""OpenCV's pixels: in evaluation the bits of the original's reader, with every interpolation of its table."""

import json
import pickle
import sys

import numpy as np
import pytest
from locations import REFERENCE
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.choices import OPENCV_INTERPOLATIONS
from imgcls.data.formats.build import build_samples
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures import opencv
from imgcls.data.pictures.crops import random_crop_box
from imgcls.data.pictures.decode import BadImage, decode_image, open_image
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.transforms import eval_transform
from imgcls.errors import UserError

cv2 = pytest.importorskip("cv2")

PIPELINE = json.loads((REFERENCE / "augment.json").read_text())
TABLE = {
    int(number): name.replace("lanczos4", "lanczos") for number, name in PIPELINE["interpolation"]["values"].items()
}
SEEN = {"size": 224, "resize_size": 256, "mean": (0.5,) * 3, "std": (0.5,) * 3, "resampling": "opencv"}


def original_evaluation(path, number, size=224, resize_size=256):
    """What the original's reader gives a network before it normalises, in the words of ``augment.json``."""
    image = cv2.imread(str(path))
    scale = resize_size / min(image.shape[:2])
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    image = cv2.resize(image, (width, height), interpolation=number)
    left, top = (width - size) // 2, (height - size) // 2
    return image[top : top + size, left : left + size, ::-1]


@pytest.fixture(scope="module")
def photos():
    return build_samples("sample", split="val")


def test_the_names_are_those_of_the_table():
    assert {getattr(cv2, OPENCV_INTERPOLATIONS[name]): name for name in OPENCV_INTERPOLATIONS} == TABLE


@pytest.mark.parametrize("number", TABLE)
def test_the_bits_of_the_original_in_evaluation(number, photos):
    transform = Preprocessing(interpolation=TABLE[number], **SEEN).transform()
    pillow = eval_transform(224, 256, TABLE[number])
    different = 0
    for index in range(len(photos)):
        with open_image(photos.path(index)) as photo:
            image = transform.of_file(photo, np.random.default_rng(0))
        assert image.flags.c_contiguous
        assert (image == original_evaluation(photos.path(index), number)).all(), photos.path(index)
        different += (image != pillow(decode_image(photos.path(index)), None)).any()
    assert different == len(photos)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, photos):
    """Files that the original's reader took as this library does, and of many sizes."""
    tmp_path = tmp_path_factory.mktemp("kinds")
    photo = Image.open(photos.path(0)).convert("RGB")
    turned = Image.Exif()
    for side in (6, 3, 2):
        turned[0x0112] = side
        photo.save(tmp_path / f"turned {side}.jpg", exif=turned)
    photo.save(tmp_path / "progressive.jpg", progressive=True, quality=97, subsampling=0)
    photo.convert("L").save(tmp_path / "grey.jpg")
    photo.resize((1801, 1203)).save(tmp_path / "large.jpg", subsampling=1)
    photo.resize((2900, 300)).save(tmp_path / "panorama.png")
    photo.resize((63, 31)).save(tmp_path / "small.bmp")
    photo.resize((256, 256)).save(tmp_path / "as it should be.png")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize("number", TABLE)
def test_the_bits_of_the_original_for_other_files(number, kinds):
    transform = eval_transform(224, 256, TABLE[number], resampling="opencv")
    for path in kinds:
        with open_image(path) as photo:
            image = transform.of_file(photo, None)
        assert (image == original_evaluation(path, number)).all(), path
        assert (image == transform(decode_image(path), None)).all()


def test_a_crop_of_training_is_the_originals(photos):
    transform = train_transform(96, resampling="opencv", flip=1.0)
    for index in range(0, len(photos), 5):
        with open_image(photos.path(index)) as photo:
            image = transform.of_file(photo, np.random.default_rng(index))
        whole = cv2.imread(photos.path(index))
        box = random_crop_box(whole.shape[1], whole.shape[0], (0.08, 1), (3 / 4, 4 / 3), np.random.default_rng(index))
        crop = cv2.resize(whole[box[1] : box[3], box[0] : box[2]], (96, 96))
        if min(box[2] - box[0], box[3] - box[1]) < 2 * 96:  # or its decoder shrinks it
            assert (image == crop[:, ::-1, ::-1]).all()
        else:
            assert np.abs(image.astype(int) - crop[:, ::-1, ::-1]).mean() < 12


@pytest.mark.parametrize("steps", [{}, {"rotation": 9, "color_jitter": (0.2, 0.2, 0.2, 0.1), "randaugment": (2, 5.0)}])
def test_batches_depend_neither_on_workers_nor_on_a_cache(steps, photos):
    transform = pickle.loads(pickle.dumps(train_transform(224, resampling="opencv", **steps)))
    photos, expected = photos.subset(np.arange(0, 36, 4)), None
    for workers, cache in ((0, None), (2, None), (2, RamCache(photos, transform.decode, 100))):
        dataset = ImageDataset(photos, transform, seed=4, cache=cache if not steps else None)
        batches = [batch[0].numpy() for batch in build_loader(dataset, EpochSampler(9, 4, shuffle=True), workers)]
        expected = expected or batches
        assert [len(batch) for batch in batches] == [4, 4, 1]
        for batch, wanted in zip(batches, expected, strict=True):
            assert (batch == wanted).all()


def test_images_held_for_evaluation_are_whole(photos):
    transform = eval_transform(32, 36, resampling="opencv")
    held = RamCache(photos, transform.decode, 100)
    for index in (0, 20):
        assert held.get(index).size == Image.open(photos.path(index)).size
        assert (
            ImageDataset(photos, transform, cache=held)[index][0] == ImageDataset(photos, transform)[index][0]
        ).all()


def test_the_whole_image_squeezed(photos):
    image = decode_image(photos.path(3))
    squeezed = eval_transform(50, 50, crop=False, resampling="opencv")(image, None)
    assert (squeezed == cv2.resize(np.asarray(image), (50, 50))).all()


def test_a_thread_of_pixels_is_refused_before_it_is_decoded(tmp_path):
    Image.new("RGB", (60_000, 1)).save(tmp_path / "thread.jpg")
    transform = eval_transform(224, 256, resampling="opencv")
    with open_image(tmp_path / "thread.jpg") as photo:
        with pytest.raises(BadImage, match=r"thread\.jpg of 60000 x 1 pixels would have 15360000 x 256, more than"):
            transform.of_file(photo, None)
        assert photo._decoded is None
    with pytest.raises(BadImage, match="The image image of 60000 x 1"):
        transform(Image.new("RGB", (60_000, 1)), None)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    opencv._cv2.cache_clear()
    with pytest.raises(UserError, match=r'opencv-python-headless: pip install "imgcls\[opencv\]"'):
        eval_transform(224, 256, resampling="opencv")
    assert eval_transform(224, 256).image_shape == (224, 224, 3)
