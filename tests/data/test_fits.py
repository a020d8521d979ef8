"""Images in rectangles of another shape: cut, letterboxed, stretched, in five parts; in evaluation and training."""

import numpy as np
import pytest
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.pictures.crops import RandomCropResize, ResizeCentreCrop, centre_crop_box, cover
from imgcls.data.pictures.decode import open_image
from imgcls.data.pictures.fits import FiveCrops, Letterbox, RandomLetterbox
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.size import as_size
from imgcls.data.pictures.transforms import eval_transform
from imgcls.errors import UserError

MEAN, STD = (0.5, 0.25, 0.75), (0.2, 0.2, 0.2)
BARS = [128, 64, 191]
FITS = ("crop", "letterbox", "stretch")
SHAPES = [(300, 200), (200, 300), (90, 31), (31, 90), (640, 17), (64, 64)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def photo(width: int, height: int) -> Image.Image:
    """Smooth, and with a colour of its own at every place."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))


def seen(size, fit="crop", **values) -> Preprocessing:
    values = {"resize_size": 96, "interpolation": "linear", "mean": MEAN, "std": STD, **values}
    return Preprocessing(size=size, fit=fit, **values)


def test_equal_sides_are_a_square():
    assert as_size([64, 64]) == as_size(64) == 64
    assert as_size([64, 96]) == (64, 96)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(48, 80), (80, 48), (33, 97)])
def test_a_crop_of_any_shape_is_the_centre_of_what_covers_it(shape, size, rng):
    """Against the image resized as a whole, its sides rounded."""
    image, resize = photo(*shape), round(1.2 * min(size))
    width, height = cover(*shape, size, resize)
    assert width >= size[1]
    assert height >= size[0]
    assert min(width / size[1], height / size[0]) == pytest.approx(resize / min(size), abs=0.02)
    found = np.asarray(ResizeCentreCrop(size, resize)(image, rng)).astype(int)
    expected = image.resize((width, height), Image.Resampling.BILINEAR).crop(centre_crop_box(width, height, size))
    assert found.shape == (*size, 3)
    assert np.abs(found - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("shape", SHAPES)
def test_a_square_given_as_two_numbers_is_the_square(shape, rng):
    image = photo(*shape)
    assert np.array_equal(eval_transform((64, 64), 72)(image, rng), eval_transform(64, 72)(image, rng))


@pytest.mark.parametrize("resampling", ["pillow", "opencv"])
def test_a_letterbox_shows_everything_between_bars_of_the_mean(resampling, rng):
    pytest.importorskip("cv2") if resampling == "opencv" else None
    transform = seen((60, 100), "letterbox", resampling=resampling).transform()
    assert transform.image_shape == (60, 100, 3)
    array = transform(photo(30, 60), rng)  # 30 pixels wide
    assert (array[:, :35] == BARS).all()
    assert (array[:, 65:] == BARS).all()
    whole = np.asarray(photo(30, 60)).astype(int)
    assert np.abs(array[:, 35:65].astype(int) - whole).max() <= 2
    flat = transform(photo(200, 50), rng)  # 25 pixels high
    assert (flat[:17] == BARS).all()
    assert (flat[42:] == BARS).all()
    assert not (flat[17:42] == BARS).all(axis=2).any()
    thread = transform(photo(5000, 1), rng)
    assert (thread != BARS).any(axis=2).sum() == 100  # a row of pixels is left of it


def test_bars_become_nothing_to_the_network():
    image = np.full((1, 4, 4, 3), BARS, np.uint8)
    assert np.abs(seen(4).normalize_array(image)).max() < 0.5 / 255 / min(STD) + 1e-6


def test_a_stretched_image_fills_the_rectangle(rng):
    array = seen((40, 70), "stretch").transform()(photo(30, 300), rng).astype(int)
    assert np.abs(array - np.asarray(photo(30, 300).resize((70, 40), Image.Resampling.BILINEAR)).astype(int)).max() <= 1


@pytest.mark.parametrize("resampling", ["pillow", "opencv"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(150, 90), (90, 150)])
def test_training_on_whole_pictures_sees_what_evaluation_does(fit, shape, resampling, rng):
    """A crop that keeps everything is the picture as it is fitted, within the rounding of its edges."""
    pytest.importorskip("cv2") if resampling == "opencv" else None
    options = {"scale": (1, 1), "ratio": (1, 1), "flip": 0, "resampling": resampling}
    training = train_transform((60, 100), **options, fit=fit, fill=tuple(BARS))(photo(*shape), rng)
    evaluation = seen((60, 100), fit, resize_size=60, resampling=resampling).transform()(photo(*shape), rng)
    far = np.abs(training.astype(int) - evaluation).max(axis=2) > 12
    if fit == "crop":  # a random place: the same scale, not the same rows
        assert training.shape == evaluation.shape
    else:
        assert far.mean() < 0.03


@pytest.mark.parametrize("size", [(48, 96), (96, 48)])
def test_random_crops_have_the_shape_of_the_size(size):
    crop = RandomCropResize(size, (0.2, 0.5), (0.75, 4 / 3))
    boxes = [crop.box(400, 400, np.random.default_rng(seed)) for seed in range(200)]
    aspects = [(box[2] - box[0]) / (box[3] - box[1]) * size[0] / size[1] for box in boxes]
    assert 0.7 < min(aspects) < 0.85
    assert 1.15 < max(aspects) < 1.4


def test_a_random_crop_of_a_letterbox_always_has_some_of_the_picture():
    crop = RandomLetterbox(64, (0.05, 0.1), (0.75, 4 / 3), fill=tuple(BARS))
    shares = []
    for seed in range(300):
        array = np.asarray(crop(photo(400, 60), np.random.default_rng(seed)))
        shares.append((array != BARS).any(axis=2).mean())
    assert min(shares) > 0.4
    assert max(shares) > 0.6


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_large_jpeg_gives_the_same_at_its_reduced_resolution(fit, turned, tmp_path, rng):
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    photo(1201, 803).save(tmp_path / "large.jpg", quality=95, exif=exif)
    for transform in (
        seen((48, 96), fit, resize_size=54).transform(),
        train_transform((48, 96), fit=fit, fill=tuple(BARS), scale=(0.5, 1)),
        *([seen((48, 96), resize_size=54).transform(five=True)] if fit == "crop" else []),
    ):
        with open_image(tmp_path / "large.jpg") as opened:
            from_file = transform.of_file(opened, np.random.default_rng(1)).astype(int)
            assert opened._image.size[0] < 1201  # the decoder has shrunk it
        with open_image(tmp_path / "large.jpg") as opened:
            whole = transform(opened.decode(), np.random.default_rng(1)).astype(int)
        assert from_file.shape == transform.image_shape
        assert np.abs(from_file - whole).mean() < 1.5


@pytest.mark.parametrize("resampling", ["pillow", "opencv"])
def test_five_crops_are_the_centre_and_the_corners(resampling, rng):
    pytest.importorskip("cv2") if resampling == "opencv" else None
    image, wanted = photo(300, 200), seen((32, 64), resize_size=40, resampling=resampling)
    five = wanted.transform(five=True)(image, rng).reshape(5, 32, 64, 3).astype(int)
    assert np.array_equal(five[0], wanted.transform()(image, rng))
    ends = {(row, column): five[1 + 2 * row + column] for row in (0, 1) for column in (0, 1)}
    for (row, column), part in ends.items():
        corner = part[-1 if row else 0, -1 if column else 0]
        assert np.abs(corner - np.asarray(image)[-1 if row else 0, -1 if column else 0].astype(int)).max() < 8


def test_five_crops_of_a_whole_picture_are_refused():
    with pytest.raises(UserError, match=r"need transform.fit=crop: letterbox shows the whole picture"):
        seen(32, "letterbox").transform(five=True)


def test_dali_refuses_bars_and_views():
    from imgcls.data.loading.dali import _crop_and_flip

    for step in (Letterbox(32, "linear", (0, 0, 0)), FiveCrops(32, 36)):
        transform = seen(32).transform()
        transform.transforms[0] = step
        with pytest.raises(UserError, match="no letterbox and no views"):
            _crop_and_flip(transform)
    crop, flip = _crop_and_flip(seen((32, 48), "stretch").transform())
    assert (crop.height, crop.width, flip) == (32, 48, None)
