"""Tar shards: the same data set as the folder or list they were packed from, read in place."""

import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from locations import ROOT
from values_of_conf import train_transform

from imgcls.data.formats import packed as packed_images
from imgcls.data.formats import tar_index
from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.tar_index import INDEX, read_index
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError

sys.path.insert(0, str(ROOT / "scripts"))
from make_shards import main

PIXEL = b"not decoded here"


def pack(path, *members, **options):
    """A tar with these members: names, or pairs of name and content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as tar:
        for member in members:
            name, content = (member, PIXEL) if isinstance(member, str) else member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def make_shards(*arguments):
    """Exit status."""
    return main([str(argument) for argument in arguments])


def names(samples):
    return [os.fsdecode(samples.relative_path(i)) for i in range(len(samples))]


def refusal(*arguments, **options):
    with pytest.raises(UserError) as caught:
        build_samples("tar", *arguments, **options)
    return str(caught.value)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The bundled photos in several shards."""
    directory = tmp_path_factory.mktemp("shards")
    assert make_shards(SAMPLE_PHOTOS, directory, "--shard-mb", 0.5) == 0
    assert len(list((directory / "train").glob("*.tar"))) == 3
    return directory


@pytest.mark.parametrize("split", ["train", "val"])
def test_shards_of_a_folder_are_the_folder(shards, split):
    packed, loose = build_samples("tar", shards, split=split), build_samples("sample", split=split)
    assert packed.class_names == loose.class_names
    assert packed.labels.tolist() == loose.labels.tolist()
    for index in range(len(loose)):
        assert packed.source(index) == Path(loose.source(index)).read_bytes()


def test_no_more_than_its_end_is_read_to_tell_an_image_from_others(shards, monkeypatch):
    """Of a million images nearly all have others of their size."""
    samples, asked = build_samples("tar", shards), []
    whole = [samples.source(index) for index in range(len(samples))]
    read = packed_images._OpenShard.read
    monkeypatch.setattr(
        packed_images._OpenShard, "read", lambda self, *place: asked.append(place[1]) or read(self, *place)
    )
    assert [samples.tail(index, 100) for index in range(len(samples))] == [content[-100:] for content in whole]
    assert asked == [100] * len(samples)
    assert samples.tail(0, 1 << 30) == whole[0]


def test_training_from_shards_shows_the_same_batches(shards):
    transform = train_transform(32)
    batches = []
    for samples in (build_samples("sample"), build_samples("tar", shards)):
        dataset = ImageDataset(samples, transform, seed=3)
        loader = build_loader(dataset, EpochSampler(len(samples), 16, shuffle=True, seed=1), num_workers=2)
        batches.append([[tensor.numpy() for tensor in batch] for batch in loader])
    for packed, loose in zip(*batches, strict=True):
        for one, other in zip(packed, loose, strict=True):
            assert (one == other).all()


def test_the_same_data_set_gives_the_same_bytes(shards, tmp_path):
    make_shards(SAMPLE_PHOTOS, tmp_path, "--shard-mb", 0.5)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.glob("*/*.tar")}
    assert len(again) > 2
    assert again == {path.relative_to(shards): path.read_bytes() for path in shards.glob("*/*.tar")}


def test_tar_itself_agrees_about_the_content(shards):
    with tarfile.open(shards / "train" / "00001.tar") as tar:
        assert {os.path.dirname(name) for name in tar.getnames()} <= {"fish", "land_animal", "monument", "renewable"}


def test_the_script_as_it_is_typed(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "make_shards.py"), str(SAMPLE_PHOTOS), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for status, expected in ((0, "train: 85 images in 1 shards"), (2, f"error: {tmp_path}/train holds shards already")):
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert result.returncode == status
        assert expected in result.stdout + result.stderr


def test_shards_of_a_list_are_the_list(tmp_path):
    photos = sorted((SAMPLE_PHOTOS / "train").rglob("*.jpg"))[:6]
    (tmp_path / "root" / "a b").mkdir(parents=True)
    lines = []
    for label, photo in enumerate(photos):
        shutil.copy(photo, tmp_path / "root" / "a b" / f"{label} x.JPEG")
        lines.append(f"a b/{label} x.JPEG {5 - label}\n")
    (tmp_path / "root" / "train_list.txt").write_text("".join(lines) + lines[0])
    (tmp_path / "root" / "val_list.txt").write_text(lines[2])
    make_shards(tmp_path / "root", tmp_path / "shards", "--format", "list", "--shard-mb", 0.05)
    assert len(list((tmp_path / "shards" / "train").glob("*.tar"))) > 1
    for split in ("train", "val"):
        loose = build_samples("list", tmp_path / "root", split=split)
        packed = build_samples("tar", tmp_path / "shards", split=split)
        assert packed.labels.tolist() == loose.labels.tolist()
        assert packed.class_names == loose.class_names == tuple("012345")
        for index in range(len(loose)):
            assert packed.source(index) == Path(loose.source(index)).read_bytes()
    assert "the label 5, which is outside 0 to 2" in refusal(tmp_path / "shards", num_classes=3)


def test_what_counts_as_an_image_and_its_class(tmp_path):
    pack(tmp_path / "train" / "b.tar", "./cat/1.jpg", "data/train/dog/2.PNG", "cat/notes.txt", "cat/._1.jpg")
    pack(tmp_path / "train" / "a.tar", "dog/3.jpeg", "dog/.hidden.jpg")
    samples = build_samples("tar", tmp_path)
    assert names(samples) == ["a.tar/dog/3.jpeg", "b.tar/cat/1.jpg", "b.tar/data/train/dog/2.PNG"]
    assert samples.class_names == ("cat", "dog")
    assert samples.labels.tolist() == [1, 0, 1]
    assert samples.path(1) == f"{tmp_path}/train/b.tar/cat/1.jpg"
    assert names(samples.subset(np.array([2, 0]))) == [names(samples)[2], names(samples)[0]]
    assert pickle.loads(pickle.dumps(samples)).source(0) == PIXEL


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_in_any_script(tmp_path, format):
    members = [f"{'k' * 90}/{'x' * 200}.jpg", "猫/кот.jpg", "caf\udce9/\udcff.jpg"]
    pack(tmp_path / "train" / "0.tar", *((name, name.encode("utf-8", "replace")) for name in members), format=format)
    samples = build_samples("tar", tmp_path)
    assert [samples.source(i) for i in range(3)] == [name.encode("utf-8", "replace") for name in members]
    assert samples.class_names == tuple(sorted(["k" * 90, "猫", r"caf\xe9"]))
    assert names(samples)[2] == f"0.tar/{members[2]}"


def test_validation_has_the_labels_of_training(tmp_path):
    pack(tmp_path / "train" / "0.tar", "a/1.jpg", "b/2.jpg")
    pack(tmp_path / "val" / "0.tar", "b/3.jpg")
    samples = build_samples("tar", tmp_path, split="val")
    assert (samples.labels.tolist(), samples.class_names) == ([1], ("a", "b"))
    pack(tmp_path / "val" / "1.tar", "c/3.jpg")
    assert "'c' is not a class of the training images" in refusal(tmp_path, split="val")
    assert "model.num_classes is 3, but" in refusal(tmp_path, num_classes=3)


def test_the_index_is_made_once_and_again_when_a_shard_changes(tmp_path, monkeypatch):
    shard = pack(tmp_path / "0.tar", "a/1.jpg")
    assert len(read_index(tmp_path).sizes) == 1
    scans = []
    scan = tar_index._scan
    monkeypatch.setattr(tar_index, "_scan", lambda path, *rest: scans.append(path.name) or scan(path, *rest))
    assert read_index(tmp_path).folders == ("a",)
    assert scans == []
    os.utime(shard, ns=(1, 1))
    read_index(tmp_path)
    assert scans == ["0.tar"]
    pack(tmp_path / "1.tar", "b/2.jpg")
    assert read_index(tmp_path).folders == ("a", "b")
    assert scans == ["0.tar", "0.tar", "1.tar"]
    assert sorted(os.listdir(tmp_path)) == ["0.tar", "1.tar", INDEX]


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_damaged_index_is_made_anew(tmp_path, share):
    pack(tmp_path / "0.tar", "a/1.jpg", "b/2.jpg")
    read_index(tmp_path)
    whole = (tmp_path / INDEX).read_bytes()
    (tmp_path / INDEX).write_bytes(whole[: int(share * len(whole))])
    assert read_index(tmp_path).folders == ("a", "b")
    assert (tmp_path / INDEX).read_bytes() == whole


def test_where_nothing_can_be_written_the_shards_work_all_the_same(tmp_path, monkeypatch, caplog):
    pack(tmp_path / "0.tar", "a/1.jpg")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tar_index.Path, "replace", refuse)
    assert read_index(tmp_path).folders == ("a",)
    assert "Read-only file system" in caplog.text
    assert os.listdir(tmp_path) == ["0.tar"]


def test_damaged_compressed_and_odd_shards_are_refused_by_name(tmp_path):
    train = tmp_path / "train"
    train.mkdir()
    assert "has no plain tar files" in refusal(tmp_path)
    shard = pack(train / "0.tar", "a/1.jpg", "a/2.jpg")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:1024])  # one header and its data
    assert "0.tar is cut off or damaged at byte 1,024" in refusal(tmp_path)
    shard.write_bytes(whole[:1536])
    assert "0.tar" in refusal(tmp_path)
    shard.write_bytes(whole[:1024] + b"x" * 512 + whole[1536:])
    assert "0.tar is cut off or damaged at byte 1,024" in refusal(tmp_path)
    pack(train / "0.tar").unlink()
    with tarfile.open(train / "0.tar", "w:gz"):
        pass
    assert "0.tar is not a plain tar file" in refusal(tmp_path)
    (train / "0.tar").rename(train / "0.tar.gz")
    assert "Uncompress 0.tar.gz" in refusal(tmp_path)


def test_images_without_a_class_and_links_are_refused(tmp_path):
    shard = pack(tmp_path / "train" / "0.tar", "1.jpg")
    assert "the image 1.jpg has no class" in refusal(tmp_path)
    with tarfile.open(shard, "w") as tar:
        link = tarfile.TarInfo("a/1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "2.jpg"
        tar.addfile(link)
    assert "0.tar holds a/1.jpg as a link" in refusal(tmp_path)
    pack(shard, "a/1.txt")
    assert "There is no image in the 1 tar files" in refusal(tmp_path)


def test_a_list_inside_says_what_counts(tmp_path):
    shard = pack(tmp_path / "train" / "0.tar", "x/1", "2.jpg", "3.jpg", ("list.txt", b"2.jpg 1\nx/1 0\n"))
    samples = build_samples("tar", tmp_path)
    assert (names(samples), samples.labels.tolist()) == (["0.tar/2.jpg", "0.tar/x/1"], [1, 0])
    pack(shard, "2.jpg", ("list.txt", b"2.jpg 1\n4.jpg 0\n"))
    assert "1 images of" in (message := refusal(tmp_path))
    assert "0.tar/list.txt are not in that shard, 4.jpg is the first" in message
    pack(shard, "2.jpg", ("list.txt", b"2.jpg cat\n"))
    assert "0.tar/list.txt are wrong:\n  line 1: the label 'cat'" in refusal(tmp_path)
    pack(shard, "2.jpg", ("list.txt", b"2.jpg 0\n"))
    pack(shard.with_name("1.tar"), "a/3.jpg")
    assert "Some shards of" in refusal(tmp_path)


def test_a_shard_that_changes_while_it_is_used_is_named(tmp_path):
    shard = pack(tmp_path / "train" / "0.tar", "a/1.jpg")
    samples = build_samples("tar", tmp_path)
    pack(shard, "b/1.jpg", "a/1.jpg")
    with pytest.raises(BadImage, match=r"0\.tar has changed since it was indexed"):
        samples.source(0)
    shard.unlink()
    with pytest.raises(BadImage, match=r"0\.tar/a/1\.jpg: No such file"):
        samples.source(0)


def test_no_more_shards_are_open_than_allowed(tmp_path, monkeypatch):
    for number in range(300):
        pack(tmp_path / "train" / f"{number:03}.tar", "a/1.jpg")
    samples = build_samples("tar", tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    assert all(samples.source(index) == PIXEL for index in range(300))
    assert len(os.listdir("/proc/self/fd")) - before <= 256
