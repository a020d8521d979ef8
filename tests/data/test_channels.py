"""Images of other channels than red, green and blue of 8 bits: what files become, and that nothing of them is lost."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.formats.image_files import LeftOut, takes_file
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.channels import AS_STORED, ChannelImage, Channels, as_rgb
from imgcls.data.pictures.decode import BadImage, decode_image, to_upright
from imgcls.data.pictures.fits import FiveCrops
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.transforms import eval_transform

RAMP = (np.arange(60 * 80).reshape(60, 80) * 13 % 65536).astype(np.uint16)
FITS = ("crop", "letterbox", "stretch")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pixels(source, count, depth=None, **options) -> np.ndarray:
    return np.asarray(decode_image(source, channels=Channels.of(count, depth), **options))


def content_of(image: Image.Image, format="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def photo(mode: str) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 255, 80), np.linspace(0, 255, 60))
    values = np.stack([across, down, 255 - across, np.round(down / 2)], axis=2).astype(np.uint8)
    return Image.fromarray(values).convert(mode) if mode != "RGBA" else Image.fromarray(values)


def test_what_channels_are():
    assert Channels.of(3) == Channels()
    assert Channels().are_usual
    assert Channels().dtype is np.uint8
    assert Channels.of(4).depth == Channels.of(1).depth == 16
    assert Channels.of(4, 8).depth == 8
    assert not Channels.of(3, 16).are_usual
    assert Channels.of(3, 16).dtype is np.float32
    assert [Channels.of(count).order for count in (1, 2, 3, 4, 5)] == ["L", "LA", "RGB", "RGBA", AS_STORED]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_of_grey_are_all_kept(format, tmp_path):
    """They are divided by 257: 65535 is 255. Eight bits of the same network are their high byte, as they were."""
    content = content_of(Image.fromarray(RAMP), format)
    kept = pixels(content, 1)
    assert kept.shape == (60, 80, 1)
    assert np.array_equal(np.round(kept[..., 0].astype(np.float64) * 257), RAMP)
    assert np.array_equal(pixels(content, 3, 16), np.repeat(kept, 3, axis=2))
    grey, opaque = np.moveaxis(pixels(content, 2), 2, 0)
    assert np.array_equal(grey, kept[..., 0])
    assert (opaque == 255).all()
    assert np.array_equal(pixels(content, 3)[..., 0], RAMP >> 8)


def test_ordinary_images_have_grey_colours_and_opacity(tmp_path):
    rgba = np.asarray(photo("RGBA"))
    assert np.array_equal(pixels(content_of(photo("RGBA")), 4), rgba)  # not laid on white
    on_white = pixels(content_of(photo("RGBA")), 3)
    assert np.array_equal(pixels(content_of(photo("RGBA")), 3, 16), on_white)
    assert np.array_equal(pixels(content_of(photo("RGBA")), 1)[..., 0], Image.fromarray(on_white).convert("L"))
    assert np.array_equal(pixels(content_of(photo("LA")), 2), photo("LA"))
    assert np.array_equal(pixels(content_of(photo("L")), 1)[..., 0], photo("L"))
    opaque = pixels(content_of(photo("RGB")), 4)
    assert np.array_equal(opaque[..., :3], photo("RGB"))
    assert (opaque[..., 3] == 255).all()
    cmyk = content_of(photo("CMYK"), "JPEG")
    assert np.array_equal(pixels(cmyk, 4)[..., :3], pixels(cmyk, 3))
    assert (pixels(cmyk, 4)[..., 3] == 255).all()
    palette = content_of(photo("P"), transparency=0)
    assert set(np.unique(pixels(palette, 4)[..., 3])) <= {0, 255}
    turned = Image.Exif()
    turned[0x0112] = 6
    assert pixels(content_of(photo("RGBA"), exif=turned), 4).shape == (80, 60, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_as_they_are(dtype, order, rng):
    values = np.asarray(rng.integers(0, np.iinfo(dtype).max, (6, 9, 5), endpoint=True).astype(dtype), order=order)
    scale = 257 if np.dtype(dtype).itemsize == 2 else 1
    assert np.array_equal(np.round(pixels(npy(values), 5).astype(np.float64) * scale), values)
    assert np.array_equal(pixels(npy(values[..., 0]), 1)[..., 0], pixels(npy(values), 5)[..., 0])
    assert np.array_equal(
        np.asarray(to_upright(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("=")), Channels.of(5))),
        pixels(npy(values), 5),
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("dtype", "count"), [("uint8", 5), ("uint16", 4), ("uint16", 2), ("uint16", 3)])
def test_tiff_of_any_channels(planar, dtype, count, rng, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = rng.integers(0, np.iinfo(dtype).max, (20, 30, count), endpoint=True).astype(dtype)
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    path = tmp_path / "我的照片 (1).tif"
    kind = "rgb" if count == 3 else "minisblack"
    tifffile.imwrite(path, stored, photometric=kind, planarconfig=planar, compression="zlib")
    found = pixels(path, count, 16)
    assert np.array_equal(np.round(found.astype(np.float64) * (257 if dtype == "uint16" else 1)), values)
    with pytest.raises(BadImage, match="more than the limit of 500"):
        pixels(path, count, 16, max_pixels=500)


def test_a_tiff_that_inflates_without_end_is_refused(rng, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path, values = tmp_path / "bomb.tif", rng.integers(0, 256, (20, 30, 5)).astype(np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    bomb = zlib.compress(bytes(50_000_000), 9)
    tifffile.imwrite(path, values, **options, compression="zlib")
    with path.open("ab") as file:
        offset = file.tell()
        file.write(bomb)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["StripOffsets"].overwrite(offset)
        tiff.pages[0].tags["StripByteCounts"].overwrite(len(bomb))
    with pytest.raises(BadImage, match="a part of it has more values than it says"):
        pixels(path, 5)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["StripByteCounts"].overwrite(1 << 30)
    with pytest.raises(BadImage, match="its parts are larger than the file"):
        pixels(path, 5)
    tifffile.imwrite(path, values, **options, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(32773)
    with pytest.raises(BadImage, match="its compression is PACKBITS: save it without, or with deflate"):
        pixels(path, 5)


def claims(shape: tuple[int, ...], dtype="|u1") -> bytes:
    """An ``.npy`` file of nothing but a head."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "count", "said"),
    [
        (npy(np.zeros((4, 4, 3), np.uint8)), 5, "it has 3 channels and the network takes 5"),
        (npy(np.zeros((4, 4, 5), np.float32)), 5, "its values are float32; convert them to 8 or 16 bits"),
        (npy(np.zeros((4, 4, 5, 1), np.uint8)), 5, "no image \\[height, width, channels\\]"),
        (npy(np.array([[[{}]]], object)), 1, "its values are object"),
        (npy(np.zeros((40, 40, 5), np.uint8))[:-1], 5, "Cannot decode the image"),
        (claims((4, 0, 5)), 5, "no image"),
        (claims((1 << 40, 1 << 40, 5)), 5, "more than the limit"),
        (claims((10_000, 10_000, 5)), 5, "Cannot decode the image"),
        (b"\x93NUMPY\x07\x00" + bytes(100), 5, "unknown version|magic"),
        (
            content_of(photo("RGB")),
            5,
            "it has 3 channels and the network takes 5 .model.args.in_channels.: such images",
        ),
        (content_of(Image.fromarray(np.float32(RAMP)), "TIFF"), 1, "floating-point"),
        (content_of(Image.fromarray(np.int32(RAMP) - 5), "TIFF"), 1, "32-bit integers"),
    ],
)
def test_what_is_refused(content, count, said):
    with pytest.raises(BadImage, match=said):
        pixels(content, count)


def test_other_networks_know_no_arrays(tmp_path):
    with pytest.raises(BadImage, match="not an image"):
        decode_image(npy(np.zeros((4, 4, 3), np.uint8)))
    assert not takes_file(b"a.npy", lambda: None, LeftOut())
    assert takes_file(b"A.NPY", lambda: None, LeftOut(also=(b".npy",)))
    assert not takes_file(b".a.npy", lambda: None, LeftOut(also=(b".npy",)))
    with pytest.raises(BadImage, match="uint8 or uint16 \\[height, width, 2\\]"):
        to_upright(np.zeros((4, 4, 3), np.uint8), Channels.of(2))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", ["linear", "cubic", "area"])
def test_they_are_resized_as_others(fit, interpolation, rng):
    """Of colours in 16 bits the values are those of 8 before they are rounded, in evaluation and in training."""
    mean, std = (0.5, 0.25, 0.75), (0.2,) * 3
    usual = {"size": (32, 48), "resize_size": 40, "interpolation": interpolation, "fit": fit}
    plain = Preprocessing(**usual, mean=mean, std=std)
    deep = Preprocessing(**usual, mean=mean, std=std, depth=16)
    image = photo("RGB").resize((70, 90))
    eight, sixteen = plain.transform()(image, rng), deep.transform()(to_upright(image, deep.channels), rng)
    assert eight.dtype == np.uint8
    assert sixteen.dtype == np.float32
    assert sixteen.shape == deep.image_shape == (32, 48, 3)
    assert np.abs(eight - sixteen).max() <= 1
    assert np.abs(eight - sixteen).mean() < 0.4
    options = {"fit": fit, "interpolation": interpolation, "rotation": 5, "fill": plain.fill}
    for number in range(5):
        one = train_transform((32, 48), **options)(image, np.random.default_rng(number))
        other = train_transform((32, 48), **options, channels=deep.channels)
        found = other(to_upright(image, deep.channels), np.random.default_rng(number))
        assert np.abs(one - found).mean() < 1  # rotation cuts fractions off
        assert np.abs(one - found).max() <= 8  # cubic cuts off in between, too
    assert deep.jpeg_reductions == ()
    assert plain.jpeg_reductions


def test_views_bars_and_eight_bits(rng):
    image = ChannelImage.of_array(rng.integers(0, 65536, (50, 60, 5)).astype(np.uint16))
    seen = Preprocessing(
        size=32, resize_size=40, interpolation="linear", mean=(0.1, 0.2, 0.3, 0.4, 0.5), std=(1.0,) * 5, depth=16
    )
    five = seen.transform(five=True)
    assert isinstance(five.transforms[0], FiveCrops)
    assert five.image_shape == (160, 32, 5)
    assert np.array_equal(five(image, rng)[:32], seen.transform()(image, rng))
    barred = eval_transform(32, 32, fit="letterbox", fill=seen.fill, channels=seen.channels)(image, rng)
    assert barred[0, 0].tolist() == [26, 51, 76, 102, 128]
    eight = eval_transform(32, 40, channels=Channels(5, 8))(image, rng)
    assert eight.dtype == np.uint8
    assert np.array_equal(eight, np.round(seen.transform()(image, rng)))
    normal = seen.normalize_array(seen.transform()(image, rng)[np.newaxis])
    assert normal.shape == (1, 5, 32, 32)
    assert abs(float(normal.mean() + 0.3) - 0.5) < 0.02


def test_what_people_are_shown():
    values = np.arange(2 * 2 * 5).reshape(2, 2, 5).astype(np.float32)
    assert np.array_equal(as_rgb(values), values[..., :3])
    assert as_rgb(values).dtype == np.uint8
    assert np.array_equal(as_rgb(values[..., :1]), np.repeat(values[..., :1], 3, axis=2))
    assert np.array_equal(as_rgb(values[..., :2]), np.repeat(values[..., :1], 3, axis=2))


@pytest.fixture
def scans(tmp_path, rng) -> Samples:
    """Twelve arrays of five channels, in two classes."""
    for number in range(12):
        side = 40 + number
        np.save(tmp_path / f"{number:02}.npy", rng.integers(0, 65536, (side, 50, 5)).astype(np.uint16))
    names = [f"{number:02}.npy".encode() for number in range(12)]
    return Samples.of_classes(tmp_path, [names[::2], names[1::2]], ("even", "odd"))


def test_batches_are_the_same_with_workers_and_from_memory(scans):
    transform = train_transform(32, channels=Channels.of(5))
    cache = RamCache(scans, transform.decode, 5, channels=transform.channels)
    assert len(cache) == 12
    found = []
    for workers, held in ((0, None), (2, None), (0, cache)):
        dataset = ImageDataset(scans, transform, seed=3, cache=held)
        loader = build_loader(dataset, EpochSampler(12, batch_size=5, shuffle=True, seed=3), workers)
        found.append([images.numpy() for images, *_ in loader])
    assert found[0][0].shape == (5, 32, 32, 5)
    assert found[0][0].dtype == np.float32
    for batches in found[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(found[0], batches, strict=True))
