"""Which files are pictures: by ending or content, never another program's, and what is said of the others."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec

import pytest
from locations import ROOT
from PIL import Image

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.image_files import LeftOut, suffixes
from imgcls.data.pictures import readers
from imgcls.data.pictures.decode import decode_image
from imgcls.deploy.inputs import find_images

sys.path.insert(0, str(ROOT / "scripts"))

FISH = next((SAMPLE_PHOTOS / "train" / "fish").iterdir())
HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
FOREIGN = [
    *("@eaDir", "#recycle", "#snapshot", ".@__thumb", "@Recycle", "lost+found"),
    *("__MACOSX", ".Trashes", ".AppleDouble", "Network Trash Folder", ".picasaoriginals", "Photos Previews.lrdata"),
    *("$RECYCLE.BIN", "RECYCLER", "FOUND.000", "System Volume Information", ".ipynb_checkpoints"),
    "Photos Library.photoslibrary",
]


def put(root, *paths, content=None):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(FISH.read_bytes() if content is None else content)


def found_by(root, left_out=None):
    """Relative paths, as a folder, in a tar, and as what is to be predicted."""
    samples = build_samples("folder", root, left_out=left_out)
    folder = [os.fsdecode(samples.relative_path(i)) for i in range(len(samples))]
    shards = root.parent / f"{root.name} shards"
    shutil.rmtree(shards, ignore_errors=True)
    (shards / "train").mkdir(parents=True)
    with tarfile.open(shards / "train" / "0.tar", "w") as tar:
        for path in sorted((root / "train").rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(root / "train"), recursive=False)
    packed = build_samples("tar", shards)
    in_tar = [os.fsdecode(packed.relative_path(i)).removeprefix("0.tar/") for i in range(len(packed))]
    predicted = [os.path.relpath(path, root / "train") for path in find_images(str(root / "train"))]
    return folder, in_tar, predicted


@pytest.mark.parametrize("name", FOREIGN)
def test_what_other_programs_leave_behind_never_trains(tmp_path, name):
    root = tmp_path / "我的照片"
    put(root, "train/cat/a.jpg", "train/dog/b.jpg", f"train/{name}/t.jpg", f"train/cat/{name}/t.jpg")
    put(root, f"train/dog/{name}/deep/t.jpg", "train/cat/._a.jpg", "train/dog/SYNOPHOTO_THUMB_XL.jpg")
    left_out = LeftOut()
    assert found_by(root, left_out) == (["cat/a.jpg", "dog/b.jpg"],) * 3
    assert (left_out.files, left_out.folders) == ({"hidden": 1, "thumbnails": 1}, {name: 3})


def test_class_names_that_only_sound_like_rubbish(tmp_path):
    names = ["recycled", "recycler", "thumbs", "found", "temporary", "@natgeo"]
    put(tmp_path / "x", *(f"train/{name}/a.jpg" for name in names))
    assert build_samples("folder", tmp_path / "x").class_names == tuple(sorted(names))


def test_without_an_ending_the_content_decides(tmp_path):
    root = tmp_path / "x"
    pictures = ["IMG_1", "Screenshot 2021-03-04 at 10.21.33", "a.jpg?width=300"]
    put(root, *(f"train/cat/{name}" for name in pictures))
    put(root, "train/cat/README", "train/cat/notes.2019", content=b"no picture")
    put(root, "train/cat/clip.MOV", "train/cat/b.jpg.bak", "train/cat/b.jpg~", "train/cat/#b.jpg#")
    left_out = LeftOut()
    assert found_by(root, left_out) == ([f"cat/{name}" for name in sorted(pictures)],) * 3
    assert left_out.files == {"without an ending": 2, ".mov": 1, ".bak": 1, "backups of an editor": 2}


def test_what_is_said(tmp_path):
    put(tmp_path, "train/cat/a.jpg", "train/loose.jpg", "train/cat/x.mov", "train/dog/y.MOV", "train/dog/b.jpg")
    put(tmp_path, "train/dog/Thumbs.db", "train/@eaDir/x.jpg", "train/cat/@eaDir/y.jpg")
    left_out = LeftOut()
    build_samples("folder", tmp_path, left_out=left_out)
    assert left_out.line() == (
        "left out 4 files: 2 .mov, 1 .db, 1 .jpg beside the class directories; directories @eaDir (2)"
    )
    many = LeftOut({f".{n}a": 1 for n in range(12)})
    assert many.line().endswith("1 .7a and 2 more kinds")


def test_an_index_of_shards_remembers_what_was_left_out(tmp_path):
    put(tmp_path / "x", "train/cat/a.jpg", "train/cat/b.mov")
    found_by(tmp_path / "x")
    left_out = LeftOut()
    build_samples("tar", tmp_path / "x shards", left_out=left_out)
    assert left_out.files == {".mov": 1}


def test_a_pattern_leaves_thumbnails_out(tmp_path):
    put(tmp_path, "cat/a.jpg", "cat/@eaDir/a.jpg", "@eaDir/b.jpg")
    left_out = LeftOut()
    assert find_images(f"{tmp_path}/**/*.jpg", left_out) == [f"{tmp_path}/cat/a.jpg"]
    assert left_out.line() == "left out 2 files: 2 in @eaDir"
    assert find_images(f"{tmp_path}/@eaDir/*.jpg") == [f"{tmp_path}/@eaDir/b.jpg"]  # asked for by name


def test_formats_are_known_by_their_brands():
    avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"
    assert [readers.format_of(head) for head in (avif, HEIC_START, FISH.read_bytes(), b"")] == [
        readers.AVIF,
        readers.HEIF,
        None,
        None,
    ]


WITHOUT_HEIF = """
import sys

sys.modules["pillow_heif"] = None  # as if it were not installed

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.pictures.decode import BadImage, decode_image

left_out = LeftOut()
print(len(build_samples("folder", sys.argv[1], left_out=left_out)))
print(left_out.line())
try:
    decode_image(sys.argv[1] + "/train/cat/IMG_1.HEIC")
except BadImage as error:
    print(error)
"""


def test_heic_without_its_reader_is_counted_and_the_package_named(tmp_path):
    put(tmp_path, "train/cat/a.jpg")
    put(tmp_path, "train/cat/IMG_1.HEIC", "train/cat/IMG_2.hif", content=HEIC_START)
    command = [sys.executable, "-c", WITHOUT_HEIF, str(tmp_path)]
    found, left_out, decoded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == "1"
    advice = "HEIC and HEIF need the package pillow-heif: pip install pillow-heif"
    assert left_out == f"left out 2 files: 1 .heic, 1 .hif. {advice}"
    assert advice in decoded


@pytest.mark.skipif(find_spec("pillow_heif") is None, reason="needs pillow-heif")
def test_heic_is_read_upright(tmp_path):
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(FISH) as image:
        image.convert("RGB").resize((80, 40)).save(tmp_path / "a.heic", exif=exif.tobytes())
    assert decode_image(str(tmp_path / "a.heic")).size == (40, 80)
    assert b".heic" in suffixes()


def test_avif_is_read(tmp_path):
    if not readers.can_read(readers.AVIF):
        pytest.skip("this Pillow has no AVIF")
    with Image.open(FISH) as image:
        content = io.BytesIO()
        image.convert("RGB").resize((80, 40)).save(content, "AVIF")
    put(tmp_path, "train/cat/a.AVIF", "train/cat/b", content=content.getvalue())
    samples = build_samples("folder", tmp_path)
    assert [decode_image(samples.path(i)).size for i in range(len(samples))] == [(80, 40)] * 2
