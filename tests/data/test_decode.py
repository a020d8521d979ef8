"""Decoding: what people's files are, and what is refused by name."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from imgcls.data.pictures import pillow_internals
from imgcls.data.pictures.crops import RandomCropResize
from imgcls.data.pictures.decode import BadImage, decode_image, open_image
from imgcls.data.pictures.jpeg_rows import with_rows
from imgcls.errors import UserError

RED, GREEN, BLUE = (200, 30, 40), (20, 180, 60), (10, 60, 220)


def quadrants(width=40, height=24):
    """Red top left, green top right, blue below: every flip and turn looks different."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :] = BLUE
    return Image.fromarray(pixels)


def assert_quadrants(image, tolerance=0):
    assert image.mode == "RGB"
    assert image.size == (40, 24)
    pixels = np.asarray(image).astype(int)
    for (y, x), color in {(5, 9): RED, (5, 30): GREEN, (18, 9): BLUE, (18, 30): BLUE}.items():
        assert np.abs(pixels[y, x] - color).max() <= tolerance, (y, x)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp", "tga", "gif"])
def test_lossless_formats(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    quadrants().save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert_quadrants(decode_image(path))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(tmp_path, options):
    quadrants().save(tmp_path / "image.jpg", quality=95, **options)
    assert_quadrants(decode_image(tmp_path / "image.jpg"), tolerance=12)


def test_the_content_decides_not_the_suffix(tmp_path):
    quadrants().save(tmp_path / "a.jpg", format="PNG")
    assert_quadrants(decode_image(tmp_path / "a.jpg"))


def test_bytes():
    buffer = io.BytesIO()
    quadrants().save(buffer, "PNG")
    assert_quadrants(decode_image(buffer.getvalue()))


# What a camera stores for each orientation: the inverse of what a viewer does to it.
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.rotate(180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.rotate(90, expand=True),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.rotate(-90, expand=True),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"image.{suffix}"
    STORED[orientation](quadrants()).save(path, exif=exif, quality=95)
    assert_quadrants(decode_image(path), tolerance=16)


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    quadrants().save(tmp_path / "image.jpg", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert_quadrants(decode_image(tmp_path / "image.jpg"), tolerance=12)


def test_cmyk_jpeg(tmp_path):
    quadrants().convert("CMYK").save(tmp_path / "image.jpg", quality=95)
    assert_quadrants(decode_image(tmp_path / "image.jpg"), tolerance=14)


def test_ycck_jpeg(tmp_path):
    """Adobe's YCCK: C, M and Y taken for R, G and B and turned into YCbCr; the marker's last byte says so."""
    cyan_magenta_yellow = Image.fromarray(255 - np.asarray(quadrants()))
    no_black = Image.new("L", (40, 24), 0)
    # Pillow writes CMYK inverted, as Adobe does; inverting before leaves the bytes as they are meant.
    bands = [Image.eval(band, lambda value: 255 - value) for band in cyan_magenta_yellow.convert("YCbCr").split()]
    stored = Image.merge("CMYK", (*bands, no_black))
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95)
    content = bytearray(buffer.getvalue())
    marker = content.index(b"Adobe")
    assert content[marker + 11] == 0
    content[marker + 11] = 2
    assert_quadrants(decode_image(bytes(content)), tolerance=16)


def test_grey_and_bilevel(tmp_path):
    ramp = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (6, 1))
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    decoded = np.asarray(decode_image(tmp_path / "grey.png"))
    assert (decoded == ramp[:, :, None]).all()
    Image.fromarray(ramp > 100).save(tmp_path / "bilevel.png")
    assert (np.asarray(decode_image(tmp_path / "bilevel.png"))[0, :, 0] == np.where(ramp[0] > 100, 255, 0)).all()


def test_16_bit_png_keeps_its_brightness(tmp_path):
    ramp = np.tile(np.arange(0, 65536, 4096, dtype=np.uint16), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert (np.asarray(decode_image(tmp_path / "deep.png"))[:, :, 2] == ramp >> 8).all()


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :2] = (*RED, 255)
    pixels[:, 2:4] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    decoded = np.asarray(decode_image(tmp_path / "alpha.png")).astype(int)
    assert (decoded[0, 0] == RED).all()
    assert np.abs(decoded[0, 2] - 127).max() <= 1
    assert (decoded[0, 5] == 255).all()


def test_palette_with_transparent_entry_is_laid_on_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*BLUE, *RED])
    image.paste(1, (0, 0, 2, 4))
    image.save(tmp_path / "palette.png", transparency=0)
    decoded = np.asarray(decode_image(tmp_path / "palette.png"))
    assert (decoded[0, 0] == RED).all()
    assert (decoded[0, 3] == 255).all()


def test_opaque_palette_and_grey_with_alpha(tmp_path):
    quadrants().quantize(8).save(tmp_path / "palette.png")
    assert_quadrants(decode_image(tmp_path / "palette.png"), tolerance=4)
    Image.merge("LA", (Image.new("L", (3, 3), 10), Image.new("L", (3, 3), 0))).save(tmp_path / "la.png")
    assert (np.asarray(decode_image(tmp_path / "la.png")) == 255).all()


def test_gif_gives_its_first_frame(tmp_path):
    frames = [quadrants().quantize(8), Image.new("RGB", (40, 24), GREEN).quantize(8)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert_quadrants(decode_image(tmp_path / "two.gif"), tolerance=4)


def test_names_in_any_script_and_none(tmp_path):
    for name in ("猫 и кот.png".encode(), b"caf\xe9 \xff.png"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            quadrants().save(file, "PNG")
        assert_quadrants(decode_image(os.fsdecode(path)))


def refusal(source, **options):
    with pytest.raises(UserError) as caught:
        decode_image(source, **options)
    message = str(caught.value)
    message.encode("utf-8")  # can be printed and logged
    return message


def test_missing_file_and_directory(tmp_path):
    assert f"{tmp_path}/none.jpg: No such file" in refusal(tmp_path / "none.jpg")
    assert f"{tmp_path}: Is a directory" in refusal(tmp_path)


def test_a_name_that_is_not_utf8_can_be_shown(tmp_path):
    assert r"caf\xe9.jpg" in refusal(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")))


def test_zero_bytes(tmp_path):
    (tmp_path / "empty.jpg").touch()
    message = refusal(tmp_path / "empty.jpg")
    assert "empty.jpg is empty" in message


def test_not_an_image(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    assert "page.jpg is not an image" in refusal(tmp_path / "page.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(tmp_path, suffix, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path = tmp_path / f"cut.{suffix}"
    noise.save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert f"cut.{suffix}" in refusal(path)


def test_every_cut_and_flip_of_a_small_png_decodes_or_is_refused():
    buffer = io.BytesIO()
    quadrants().save(buffer, "PNG")
    content = buffer.getvalue()
    rng = np.random.default_rng(0)
    for length in range(0, len(content), 3):
        refused_or_rgb(content[:length])
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        refused_or_rgb(bytes(damaged))


def refused_or_rgb(content):
    message = "damaged.png"
    try:
        assert decode_image(content, name="damaged.png").mode == "RGB"
    except UserError as error:
        message = str(error)
    assert "damaged.png" in message


def test_pixel_limit_is_kept_before_decoding(tmp_path):
    Image.new("1", (3000, 2000)).save(tmp_path / "wide.png")
    message = refusal(tmp_path / "wide.png", max_pixels=5_999_999)
    assert "wide.png has 3000 x 2000 pixels, more than the limit of 5,999,999" in message
    assert decode_image(tmp_path / "wide.png", max_pixels=6_000_000).size == (3000, 2000)


def test_decompression_bomb_is_refused_by_default(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    assert "more than the limit" in refusal(tmp_path / "bomb.png")


def test_a_higher_limit_than_pillows_own_is_possible(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    buffer = io.BytesIO()
    Image.new("L", (30, 20)).save(buffer, "PNG")
    assert "more than the limit of 199" in refusal(buffer.getvalue(), max_pixels=199)
    assert decode_image(buffer.getvalue(), max_pixels=600).size == (30, 20)


def test_postscript_is_not_even_tried(tmp_path):
    quadrants().save(tmp_path / "image.eps")
    assert "is not an image" in refusal(tmp_path / "image.eps")


def test_float_pixels_are_refused_with_advice(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "float.tiff")
    assert "convert it to 8 or 16 bits" in refusal(tmp_path / "float.tiff")


def test_everything_refused_is_a_bad_image(tmp_path):
    with pytest.raises(BadImage):
        decode_image(tmp_path / "none.jpg")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "pipe.jpg: it is a pipe or a device" in refusal(tmp_path / "pipe.jpg")
    assert "it is a pipe or a device" in refusal("/dev/zero")


def test_a_zero_byte_in_a_name(tmp_path):
    assert "null byte" in refusal(f"{tmp_path}/a\0b.jpg")


def test_an_icon_is_not_taken_for_another_format(tmp_path):
    quadrants().save(tmp_path / "image.ico", sizes=[(40, 24)])
    assert_quadrants(decode_image(tmp_path / "image.ico"))


def landscape(width, height):
    """A smooth random picture: what any decoder agrees on."""
    coarse = np.random.default_rng(7).integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("box", "size", "reduction"),
    [
        ((0, 0, 800, 600), 75, 8),
        ((0, 0, 800, 600), 76, 4),
        ((10, 20, 410, 321), 75, 4),
        ((10, 20, 410, 319), 75, 2),
        ((10, 20, 158, 400), 75, 1),
        ((0.5, 0.5, 150.5, 150.5), 75, 2),
    ],
)
def test_a_jpeg_is_decoded_no_smaller_than_its_crop_needs(tmp_path, box, size, reduction):
    path = tmp_path / "large.jpg"
    landscape(803, 605).save(path, quality=95)
    whole = decode_image(path)
    with open_image(path) as photo:
        assert photo.size == (803, 605)
        image, there = photo.decode_around(box, size)
    assert image.size == (-(-803 // reduction), -(-605 // reduction))
    assert there == tuple(edge / reduction for edge in box)
    assert min(there[2] - there[0], there[3] - there[1]) >= min(size, box[2] - box[0])
    if reduction == 1:
        assert (np.asarray(image) == np.asarray(whole)).all()
    one, other = (
        np.asarray(source.resize((size, size), Image.Resampling.BILINEAR, box=within)).astype(int)
        for source, within in ((image, there), (whole, box))
    )
    assert np.abs(one - other).mean() < 1.5


@pytest.mark.parametrize("orientation", STORED)
def test_a_shrunk_jpeg_is_upright_too(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "large.jpg"
    STORED[orientation](quadrants(320, 192)).save(path, exif=exif, quality=95)
    with open_image(path) as photo:
        assert photo.size == (320, 192)
        image, box = photo.decode_around((0, 0, 320, 192), 24)
    assert box == (0, 0, 40, 24)
    assert_quadrants(image, tolerance=20)


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_grey_and_cmyk_jpegs_are_shrunk(tmp_path, mode):
    quadrants(320, 192).convert(mode).save(tmp_path / "large.jpg", quality=95)
    whole = decode_image(tmp_path / "large.jpg").resize((40, 24), Image.Resampling.BOX)
    with open_image(tmp_path / "large.jpg") as photo:
        image, _ = photo.decode_around((0, 0, 320, 192), 24)
    assert image.size == (40, 24)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - np.asarray(whole)).mean() < 3


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_other_formats_come_as_they_are(tmp_path, suffix):
    landscape(320, 200).save(tmp_path / f"image.{suffix}")
    with open_image(tmp_path / f"image.{suffix}") as photo:
        image, box = photo.decode_around((0, 0, 320, 200), 10)
    assert (image.size, box) == ((320, 200), (0, 0, 320, 200))


def test_a_decoded_photo_is_not_decoded_again(tmp_path):
    landscape(320, 200).save(tmp_path / "image.jpg")
    with open_image(tmp_path / "image.jpg") as photo:
        image = photo.decode()
        assert photo.decode() is image
        assert photo.decode_around((0, 0, 320, 200), 10) == (image, (0, 0, 320, 200))


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_damage_shows_in_a_shrunk_jpeg(tmp_path, share):
    path = tmp_path / "cut.jpg"
    landscape(800, 600).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with open_image(path) as photo, pytest.raises(BadImage, match=r"cut\.jpg"):
        photo.decode_around((0, 0, 800, 600), 10)


LARGE = {
    "baseline": {},
    "full colour resolution": {"subsampling": 0},
    "restart markers": {"restart_marker_rows": 2},
    "optimised": {"optimize": True, "quality": 60},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize("form", LARGE)
@pytest.mark.parametrize("size", [24, 56, 150, 500])
def test_rows_below_a_crop_have_no_influence_wherever_it_ends(tmp_path, form, size):
    path = tmp_path / "large.jpg"
    landscape(2003, 1505).convert("RGB").save(path, **LARGE[form])
    crop = RandomCropResize(size, (0.08, 1.0), (3 / 4, 4 / 3), interpolation="lanczos")
    with open_image(path) as photo:
        whole, reduction = photo.decode_shrunk(500, size)
    for bottom in range(700, 740, 3):
        with open_image(path) as photo:
            image, box = photo.decode_around((700, bottom - 500, 1200, bottom), size, crop.crop_first)
        assert box == tuple(edge / reduction for edge in (700, bottom - 500, 1200, bottom))
        assert image.width == whole.width
        assert (image.height < 0.53 * whole.height) == (form != "progressive")
        assert np.array_equal(crop.cut(image, box), crop.cut(whole, box))


@pytest.mark.parametrize("name", pillow_internals.ATTRIBUTES)
def test_a_pillow_that_lacks_an_attribute_leaves_the_image_as_it_was(name):
    content = io.BytesIO()
    landscape(200, 300).save(content, "JPEG")
    image = Image.open(content)
    value = vars(image)[name]
    delattr(image, name)
    before = dict(vars(image))
    assert not pillow_internals.replace_file(image, with_rows(content, 16), 16)
    assert vars(image) == before
    setattr(image, name, value)
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(content.getvalue()))))
    image = Image.open(content)
    assert pillow_internals.replace_file(image, with_rows(content, 16), 16)
    assert image.size == (200, 16)


def test_a_pillow_with_other_names_decodes_the_whole_image(tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    crop = RandomCropResize(150, scale=(0.08, 1.0), ratio=(0.75, 1.33))
    landscape(2003, 1505).save(path)
    heights, cuts = [], []
    for names in (pillow_internals.ATTRIBUTES, ("a_new_name",)):
        monkeypatch.setattr(pillow_internals, "ATTRIBUTES", names)
        with open_image(path) as photo:
            image, box = photo.decode_around((700, 100, 1200, 600), 150, crop.crop_first)
        heights.append(image.height)
        cuts.append(crop.cut(image, box))
    assert heights[0] < heights[1] == -(-1505 // 2)
    assert np.array_equal(*cuts)


def test_damage_below_the_box_shows(tmp_path):
    path = tmp_path / "cut.jpg"
    landscape(2003, 1505).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with open_image(path) as photo, pytest.raises(BadImage, match=r"cut\.jpg"):
        photo.decode_around((0, 0, 500, 500), 10, crop_first=True)


@pytest.mark.parametrize("orientation", STORED)
def test_a_large_jpeg_may_lie_on_its_side(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "large.jpg"
    STORED[orientation](quadrants(2600, 2000)).save(path, exif=exif, quality=95)
    with open_image(path) as photo:
        image, box = photo.decode_around((1000, 700, 1600, 1300), 150, crop_first=True)
    assert box == (250, 175, 400, 325)
    assert_quadrants(image.resize((40, 24), Image.Resampling.NEAREST, box=box), tolerance=20)


def test_a_header_that_is_no_jpegs_is_left_alone():
    for content in (
        b"",
        b"\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\xff\xff\xff\xd9",
        b"\xff\xd8" + b"\xff" * 9 + b"\xff\xd9",
    ):
        assert with_rows(io.BytesIO(content), 16) is None


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 5000])
def test_the_height_is_changed_however_the_file_is_read(step):
    content = io.BytesIO()
    landscape(300, 200).save(content, "JPEG")
    changed = with_rows(content, 1234)
    parts = []
    while part := changed.read(step):
        parts.append(part)
    old = content.getvalue()
    position = old.index(b"\xff\xc0") + 5
    assert old[position : position + 2] == (200).to_bytes(2, "big")
    assert b"".join(parts) == old[:position] + (1234).to_bytes(2, "big") + old[position + 2 :]
