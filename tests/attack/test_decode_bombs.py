"""Pictures that cost minutes: refused by name from their headers, or stopped in the process that decodes them."""

import io
import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bombs import (
    PNG,
    avif_of_items,
    bitmap_of_run_lengths,
    chunk,
    directory,
    gif,
    icon,
    jpeg2000_of_tiles,
    png,
    saved,
    scans,
    segment,
    sequential_scans,
    tiff_of_strips,
    webp,
)
from locations import ROOT
from PIL import Image
from values_of_conf import train_transform

from imgcls import model_info
from imgcls.data.checking.file_check import check_files
from imgcls.data.formats.folder import read_folder
from imgcls.data.loading.bad_files import BadFiles
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures import work
from imgcls.data.pictures.decode import BadImage, Heavy, ImageFile, decode_image, only_light, open_image
from imgcls.data.pictures.in_time import in_time
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.work import TooMuchWork, check_exif, check_work
from imgcls.deploy.reader import ImageReader, read_batches
from imgcls.errors import UserError
from imgcls.machine.pool import TimeLimit

TWO_SEGMENTS = directory(3000, 60_000)
BOMBS = {
    "scans.jpg": (lambda: scans(501), "501 scans over its pixels, more than the limit of 500"),
    "scans of large.jpg": (lambda: scans(101, (10_000, 10_000)), "101 scans over 100,000,000 pixels"),
    "hidden scans.jpg": (lambda: scans(501, between=segment(0xFE, b"\xff\xd9")), "501 scans"),
    "one colour at a time.jpg": (lambda: sequential_scans(600), "600 scans"),
    "segments.jpg": (lambda: b"\xff\xd8" + segment(0xFE) * 10_001 + saved("JPEG")[2:], "segments"),
    "segments between scans.jpg": (lambda: scans(20, between=segment(0xFE) * 1000), "segments"),
    "junk.jpg": (lambda: b"\xff\xd8\xff" + bytes(70_000) + saved("JPEG")[2:], "bytes of nothing"),
    "exif in two.jpg": (
        lambda: (
            b"\xff\xd8"
            + segment(0xE1, b"Exif\0\0" + TWO_SEGMENTS[:60_000])
            + segment(0xE1, b"Exif\0\0" + TWO_SEGMENTS[60_000:])
            + saved("JPEG")[2:]
        ),
        "the values of its directories overlap",
    ),
    "chunks.png": (lambda: png(*[chunk(b"teSt")] * 10_500), "chunks"),
    "pixels in nothing.png": (lambda: png(*[chunk(b"IDAT")] * 10_500), "chunks"),
    "comment.gif": (lambda: gif(b"!\xfe" + (b"\xff" + bytes(255)) * 5000 + b"\0"), "bytes of comments"),
    "comments.gif": (lambda: gif(b"!\xfe\1x\0" * 10_001), "blocks before its image"),
    "junk.gif": (lambda: gif(bytes(70_000)), "bytes of nothing"),
    "strips.tif": (lambda: tiff_of_strips(100_001), "strips or tiles"),
    "entries.tif": (lambda: directory(9000, 500_000), "overlap"),
    "chunks.webp": (lambda: webp(10_001), "frames and other chunks"),
    "run lengths.bmp": (lambda: bitmap_of_run_lengths(1_100_000, 100), "pixels in run lengths"),
    "part of.dib": (lambda: bitmap_of_run_lengths(1_100_000, 100)[14:], "pixels in run lengths"),
    "text.ppm": (lambda: b"P2 4000 4000 255\n" + b"1 " * 1000, "pixels as text"),
    "depth.ppm": (lambda: b"P6 4000 4000 254\n" + bytes(1000), "unusual depth"),
    "comment.ppm": (lambda: b"P6 #" + bytes(70_000) + b"\n9 9 255\n" + bytes(243), "header"),
    "chunks.ico": (lambda: icon(png(*[chunk(b"teSt")] * 10_500)), "chunks"),
    "tiles.jp2": (lambda: jpeg2000_of_tiles(110), "tiles"),
    "items.avif": (lambda: avif_of_items(1001), "items"),
}
"""What makes each, and what is said of it."""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_name(name, tmp_path):
    make, reason = BOMBS[name]
    content = make()
    path = tmp_path / f"我的 {name}"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(BadImage, match=reason) as refusal, open_image(source, f"我的 {name}") as image:
            image.decode()
        assert f"The image 我的 {name} would take too long to decode: " in str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: scans(500), id="scans"),
        pytest.param(lambda: sequential_scans(30), id="one colour at a time"),
        pytest.param(lambda: png(*[chunk(b"teSt")] * 9_900), id="chunks"),
        pytest.param(lambda: gif(b"!\xfe" + (b"\xff" + bytes(255)) * 4000 + b"\0"), id="comment"),
        pytest.param(lambda: saved("TIFF", (5000, 5000), compression="tiff_lzw"), id="strips"),
        pytest.param(lambda: bitmap_of_run_lengths(1000, 1000), id="run lengths"),
        pytest.param(lambda: saved("JPEG2000", (600, 600), tile_size=(64, 64)), id="tiles"),
        pytest.param(lambda: saved("AVIF", mode="RGB"), id="items"),
        pytest.param(lambda: icon(saved("PNG", mode="RGB")), id="icon"),
        pytest.param(lambda: webp(9_000), id="webp"),
        pytest.param(lambda: b"P2 2 2 255\n#a\n1 2 3 4", id="text"),
    ],
)
def test_what_is_within_the_limits_is_decoded(make):
    content = make()
    with Image.open(io.BytesIO(content)) as image:
        assert decode_image(content).size == image.size


def test_a_large_exif_block_is_no_reason_to_refuse_a_picture():
    with pytest.raises(TooMuchWork, match="overlap"):
        check_exif(directory(5000, 1_000_000))
    turned = Image.Exif()
    turned[0x0112] = 6
    block = turned.tobytes() + bytes(100_000)
    check_exif(block)
    assert decode_image(saved("PNG", (30, 20), exif=block)).size == (20, 30)
    assert decode_image(saved("PNG", (30, 20), exif=directory(5000, 1_000_000))).size == (30, 20)


def test_every_bundled_photo_passes_and_so_does_their_damage():
    random.seed(12)
    photos = sorted((ROOT / "imgcls" / "assets" / "sample_photos").glob("*/*/*.jpg"))
    contents = [photo.read_bytes() for photo in photos]
    for content in contents:
        check_work(content)
    kinds = ("PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000", "AVIF", "PPM", "ICO", "JPEG")
    contents = [saved(kind, mode="RGB") for kind in kinds] + [scans(30), PNG]
    for number in range(3000):
        damaged = bytearray(contents[number % len(contents)])
        for _ in range(1 + number % 9):
            damaged[random.randrange(len(damaged))] = random.choice((0, 1, 127, 255, random.randrange(256)))
        with suppress(TooMuchWork):  # and nothing else is raised
            check_work(bytes(damaged[: random.randrange(len(damaged)) if number % 3 == 0 else None]))


def test_an_open_file_is_read_as_its_content_is(tmp_path):
    (tmp_path / "scans").write_bytes(scans(501))
    with (tmp_path / "scans").open("rb") as file, pytest.raises(TooMuchWork, match="501 scans"):
        check_work(file.fileno())


def test_the_service_has_the_same_limits():
    copy = ROOT / "scripts" / "clients" / "service" / "work.py"
    assert copy.read_text() == (ROOT / "imgcls" / "data" / "pictures" / "work.py").read_text()
    assert work.MAX_SCANS == 500


SECONDS = 0.4
"""Of processor time; the photos take a hundredth of it."""


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    """Two classes of small photos; one file is within all limits and takes seconds."""
    root = tmp_path_factory.mktemp("我的照片")
    photos = sorted((ROOT / "imgcls" / "assets" / "sample_photos" / "val").glob("*/*.jpg"))
    for split in ("train", "val"):
        for number, photo in enumerate(photos[:8]):
            folder = root / split / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, folder / f"photo ({number}).jpg")
        (root / split / "cat" / "photo (4).jpg").write_bytes(scans(500, (4400, 4400)))
    return root


def batches(album: Path, num_workers: int, bad_files: BadFiles | None, pad: bool):
    """Indices of two epochs."""
    dataset = ImageDataset(read_folder(album / "train"), train_transform(32))
    sampler = EpochSampler(len(dataset), 4, shuffle=pad, pad=pad)
    loader = build_loader(dataset, sampler, num_workers, bad_files=bad_files, max_decode_seconds=SECONDS)
    found = []
    for epoch in range(2):
        sampler.set_position(epoch)
        found += [indices.numpy().tolist() for _, _, indices in loader]
    return [index for indices in found for index in indices]


@pytest.mark.parametrize("num_workers", [2, 0])
def test_training_goes_on_without_it(album, caplog, num_workers):
    slow = [str(path) for path in map(read_folder(album / "train").path, range(8))].index(
        str(album / "train" / "cat" / "photo (4).jpg")
    )
    found = batches(album, num_workers, BadFiles(5), pad=True)
    assert len(found) == 16
    assert slow not in found
    assert "photo (4).jpg takes more than 0.4 s of processor time, the limit of data.max_decode_seconds" in caplog.text
    assert caplog.text.count("takes more than") == 1


def test_evaluation_counts_each_of_the_others_once(album):
    found = batches(album, 1, BadFiles(5), pad=False)
    assert sorted(found) == sorted([index for index in range(8) if index != 2] * 2)


def test_without_skipping_it_is_the_end(album):
    with pytest.raises(UserError, match=r"photo \(4\)\.jpg takes more than 0\.4 s of processor time"):
        batches(album, 2, None, pad=True)


def test_verify_and_predict_name_it(album):
    checks = list(check_files(read_folder(album / "train"), 2, max_decode_seconds=SECONDS))
    assert [check.fault is None for check in checks] == [True, True, False, True, True, True, True, True]
    assert "takes more than 0.4 s" in checks[2].fault
    refused: dict[str, str] = {}
    paths = sorted(map(str, (album / "val").glob("*/*.jpg")))
    read = ImageReader(Preprocessing.of_model(model_info("squeezenet1_1")).transform(), 10**8)

    def report(path: str, error: UserError) -> None:
        refused[path] = str(error)

    for workers, start in ((2, "spawn"), (1, "fork"), (0, "fork")):
        refused.clear()
        shape = read.transform.image_shape
        good = list(read_batches(paths, read, shape, 3, workers, report, max_decode_seconds=SECONDS, start=start))
        assert [path for found, _ in good for path in found] == [path for path in paths if "(4)" not in path]
        assert [Path(path).name for path in refused] == ["photo (4).jpg"]
        assert "takes more than 0.4 s" in next(iter(refused.values()))


def test_without_workers_it_is_decoded_in_a_process_of_its_own(album, monkeypatch):
    """Only what is heavy: what a breakpoint is to stop in is decoded here."""
    here = []
    monkeypatch.setattr(ImageFile, "decode", lambda photo, decode=ImageFile.decode: here.append(photo) or decode(photo))
    with pytest.raises(UserError, match=r"photo \(4\)\.jpg takes more than 0\.4 s of processor time"):
        batches(album, 0, None, pad=False)
    assert [Path(photo.name).name for photo in here] == ["photo (0).jpg", "photo (2).jpg"]
    samples = read_folder(album / "train")
    assert len(RamCache(samples, lambda photo: photo.decode(), 200, max_decode_seconds=SECONDS)) == 7
    assert [check.fault is None for check in check_files(samples, 0, max_decode_seconds=SECONDS)].count(False) == 1


def test_what_is_heavy_and_in_time_comes_back_from_there():
    content = saved("PNG", (4000, 3000))

    def read():
        with open_image(content) as photo:
            return os.getpid(), np.asarray(photo.decode()).sum()

    expected = os.getpid(), 4000 * 3000 * 3 * 77
    assert in_time(None, 0, "photo", read) == in_time(TimeLimit(100.0, 1), 0, "photo", read) == expected
    process, total = in_time(TimeLimit(2.0, 1), 0, "photo", read)
    assert (process != expected[0], total) == (True, expected[1])


def test_what_is_heavy_counts_scans_and_pixels():
    for content, cost in (
        (scans(30, (100, 50)), 150_000),
        (saved("JPEG", (100, 50)), 5000),
        (saved("PNG", (9, 9)), 81),
    ):
        with only_light(cost), open_image(content):
            pass
        with pytest.raises(Heavy), only_light(cost - 1), open_image(content):
            pass


def test_commands_go_on_after_it(album, run_program, tmp_path):
    limit = f"data.max_decode_seconds={SECONDS}"
    result = run_program("predict", f"predict.input='{album}/val'", limit, "run.name=told", cwd=tmp_path, check=False)
    assert result.returncode != 0
    assert "1 of 8 pictures could not be read" in result.stderr, result.stderr
    lines = (tmp_path / "outputs" / "told" / "unreadable.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Path(json.loads(line)["path"]).name for line in lines] == ["photo (4).jpg"]
    assert len((tmp_path / "outputs" / "told" / "predictions.jsonl").read_text().splitlines()) == 7
