"""Files as people have them under DALI: what Pillow makes of them, or refused by name."""

import io

import numpy as np
import pytest
from attack.bombs import scans
from dali_loaders import MAX_PIXELS, Loaders, arrays, assert_same_bits, difference, require_dali
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.pictures.transforms import eval_transform
from imgcls.errors import UserError

require_dali()


@pytest.fixture(scope="module")
def photo():
    with Image.open(build_samples("sample", split="train").path(0)) as image:
        return image.convert("RGB").resize((200, 150))


def encoded(image, format="JPEG", **options):
    content = io.BytesIO()
    image.save(content, format, **options)
    return content.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_alpha(photo):
    mask = Image.linear_gradient("L").resize(photo.size)
    return Image.merge("RGBA", (*photo.split(), mask))


ODD = {
    **{f"orientation {n}": lambda photo, n=n: encoded(photo, exif=exif(n)) for n in range(1, 9)},
    "grey": lambda photo: encoded(photo.convert("L")),
    "progressive": lambda photo: encoded(photo, progressive=True),
    "full colour resolution": lambda photo: encoded(photo, subsampling=0),
    "CMYK": lambda photo: encoded(photo.convert("CMYK")),
    "PNG": lambda photo: encoded(photo, "PNG"),
    "PNG with alpha": lambda photo: encoded(with_alpha(photo), "PNG"),
    "PNG with a palette": lambda photo: encoded(photo.quantize(64), "PNG"),
    "PNG of 16 bits": lambda photo: encoded(
        Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), "PNG"
    ),
    "GIF": lambda photo: encoded(photo.quantize(64), "GIF"),
    "WebP": lambda photo: encoded(photo, "WEBP"),
    "BMP": lambda photo: encoded(photo, "BMP"),
    "TIFF": lambda photo: encoded(photo, "TIFF"),
    "trailing bytes": lambda photo: encoded(photo) + b"camera's own data" * 100,
    "one pixel": lambda photo: encoded(photo.resize((1, 1))),
    "a line": lambda photo: encoded(photo.resize((900, 2))),
}


def folder_of(contents, directory):
    (directory / "train" / "only").mkdir(parents=True)
    for number, content in enumerate(contents):
        (directory / "train" / "only" / f"{number:02}.jpg").write_bytes(content)  # whatever it is
    return build_samples("folder", root=str(directory))


@pytest.mark.parametrize("transform", [train_transform(96), eval_transform(96, 110)], ids=["training", "evaluation"])
def test_odd_files_are_what_pillow_makes_of_them(transform, photo, tmp_path):
    loaders = Loaders(folder_of([make(photo) for make in ODD.values()], tmp_path), transform)
    found = difference(arrays(loaders.pillow()), arrays(loaders.dali()))
    inside = found[:, 1:-1, 1:-1].reshape(len(ODD), -1)  # the two treat the rim of an image in their own ways
    worst = dict(zip(ODD, inside.max(axis=1).tolist(), strict=True))
    assert {name: value for name, value in worst.items() if value > 1} == {}


BROKEN = {
    "empty": (lambda content: b"", "is empty"),
    "text": (lambda content: b"<html>404</html>" * 50, "is not an image"),
    "truncated": (lambda content: content[: len(content) // 3], "truncated"),
    "header only": (lambda content: content[:20], "not an image"),
    "too large": (lambda content: encoded(Image.new("L", (MAX_PIXELS // 1000 + 1, 1000))), "data.max_pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_after_the_batches_before_it(case, photo, tmp_path, capfd):
    damage, reason = BROKEN[case]
    contents = [encoded(photo)] * 24
    contents[17] = damage(contents[17])
    loader = Loaders(folder_of(contents, tmp_path), eval_transform(64, 64)).dali(batch_size=4)
    seen = []
    with pytest.raises(UserError, match=rf"17\.jpg.*{reason}"):
        seen.extend(batch[2].tolist() for batch in loader)
    assert seen == [list(range(start, start + 4)) for start in range(0, 4 * len(seen), 4)]
    if case != "truncated":  # which only the decoder notices, several batches at once
        assert len(seen) == 4


def test_a_file_that_takes_too_long_is_named(photo, tmp_path):
    """And one that might, but does not, is what it is without the limit."""
    large = encoded(photo.resize((3000, 2000)))
    loaders = Loaders(folder_of([encoded(photo)] * 4 + [large], tmp_path), eval_transform(64, 64))
    assert_same_bits(arrays(loaders.dali(max_decode_seconds=1.0)), arrays(loaders.dali()))
    (tmp_path / "train" / "only" / "03.jpg").write_bytes(scans(500, (3000, 3000)))
    with pytest.raises(UserError, match=r"03\.jpg takes more than 0\.3 s of processor time"):
        list(loaders.dali(max_decode_seconds=0.3))


def test_a_missing_file_is_named(photo, tmp_path):
    samples = folder_of([encoded(photo)] * 6, tmp_path)
    (tmp_path / "train" / "only" / "03.jpg").unlink()
    with pytest.raises(UserError, match=r"Cannot open the image .*03\.jpg: No such file or directory"):
        list(Loaders(samples, train_transform(64)).dali(batch_size=2))
