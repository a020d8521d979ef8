"""A zip of class folders: the folder it was made from, and what is wrong with a zip."""

import io
import os
import shutil
import stat
import struct
import zipfile

import pytest
from photos_elsewhere import require_same

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.record import known
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine import zip_members as zips
from imgcls.machine.zip_members import zip_members


def refusal(root, **options):
    with pytest.raises(UserError) as caught:
        build_samples("zip", root, **options)
    return str(caught.value)


def pack(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for member in members:
            file.writestr(*((member, b"not decoded here") if isinstance(member, str) else member))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("我的 照片")
    return shutil.make_archive(root / "photo (1)", "zip", SAMPLE_PHOTOS.parent, SAMPLE_PHOTOS.name)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_zip_is_the_folder(photos, split):
    packed, loose = build_samples("zip", photos, split=split), build_samples("sample", split=split)
    require_same(packed, split)
    assert known(packed) == known(loose)  # so says what a checkpoint has of its samples
    assert packed.path(3) == f"{photos}/sample_photos/{split}/{os.fsdecode(loose.relative_path(3))}"


def test_shares_and_folds_are_those_of_the_folder(photos, tmp_path):
    for options in ({"val_share": 0.3}, {"folds": 3, "fold": 1}):
        whole = shutil.make_archive(tmp_path / "whole", "zip", SAMPLE_PHOTOS / "train")
        packed = build_samples("zip", whole, split="val", **options)
        loose = build_samples("folder", SAMPLE_PHOTOS / "train", split="val", **options)
        assert packed.relative_paths(0, 99) == loose.relative_paths(0, 99)
    assert "has a directory 'val' already" in refusal(photos, val_share=0.3)


def test_where_the_classes_may_be(tmp_path):
    both = pack(tmp_path / "a.zip", "cat/1.jpg", "cat/sub/2.jpg", "dog/3.jpg", "__MACOSX/cat/._1.jpg", "notes.txt")
    assert build_samples("zip", both, val_share=0).class_names == ("cat", "dog")
    assert "a.zip has no directory 'train'" in refusal(both)
    pack(tmp_path / "train.zip", "x/cat/1.jpg", "x/dog/3.jpg")
    pack(tmp_path / "val.zip", "dog/3.jpg")
    samples = build_samples("zip", tmp_path, split="val")
    assert (samples.class_names, samples.labels.tolist()) == (("cat", "dog"), [1])
    pack(tmp_path / "val.zip", "cow/3.jpg")
    assert "'cow' is not a class of the training images" in refusal(tmp_path, split="val")
    windows = pack(tmp_path / "w.zip", "train\\cat\\1.jpg", "train\\dog\\1.jpg")
    assert build_samples("zip", windows).relative_path(1) == b"dog/1.jpg"
    assert build_samples("zip", both, split="val", class_names=("dog", "cat", "cow")).labels.tolist() == [0, 1, 1]


def test_what_cannot_be_read_is_said(tmp_path):
    path = pack(tmp_path / "a.zip", "train/a/1.jpg", "train/b/2.jpg")
    whole = path.read_bytes()
    for damaged in (
        whole[:-1],
        whole[: len(whole) // 2],
        b"",
        b"PK\5\6" + bytes(18),
        whole.replace(b"PK\1\2", b"PK\1\3"),
    ):
        path.write_bytes(damaged)
        assert "a.zip" in refusal(path)
    path.write_bytes(b"#!/bin/sh\n" + whole + b"")  # that unpacks itself
    assert build_samples("zip", path).source(0) == b"not decoded here"
    assert "does not exist" in refusal(tmp_path / "b.zip")
    link = zipfile.ZipInfo("train/a/1.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert "train/a/1.jpg: it is a link" in refusal(pack(path, (link, "2.jpg"))).replace("a/1", "train/a/1", 1)
    assert "packed by method 12" in refusal(pack(path, "train/a/1.jpg", compression=zipfile.ZIP_BZIP2))
    secret = bytearray(pack(path, "train/a/1.jpg").read_bytes())
    secret[secret.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(secret)
    assert "it is encrypted" in refusal(path)


def test_a_member_that_changes_or_is_damaged_is_a_bad_image(tmp_path):
    path = pack(tmp_path / "a.zip", ("train/a/1.jpg", b"x" * 1000), "train/b/2.jpg", compression=zipfile.ZIP_STORED)
    samples = build_samples("zip", path)
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[content.index(b"xxx")] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(BadImage, match=r"a\.zip/train/a/1\.jpg: its check sum is another"):
        samples.source(0)
    other = pack(tmp_path / "b.zip", "train/a/1.jpg", "train/b/2.jpg")
    samples = build_samples("zip", other)
    pack(other, "train/b/2.jpg")
    with pytest.raises(BadImage, match=r"b\.zip has changed since it was indexed"):
        samples.source(1)
    assert samples.is_there()
    other.unlink()
    assert not samples.is_there()


def test_a_bomb_and_overlaps_are_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", ("train/a/1.jpg", bytes(1 << 20)), "train/b/1.jpg")
    monkeypatch.setattr(zips, "PACKED_BYTES", 1 << 19)
    assert "it has more than 524,288 bytes" in refusal(path)
    monkeypatch.undo()
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 24 : content.index(b"PK\1\2") + 28] = struct.pack("<L", 1000)  # says so, is more
    path.write_bytes(content)
    with pytest.raises(BadImage, match="check sum"):
        build_samples("zip", path).source(0)
    stored = bytearray(pack(path, *(f"train/{n}/1.jpg" for n in range(9)), compression=zipfile.ZIP_STORED).read_bytes())
    table = stored.index(b"PK\1\2")
    for at in [at for at in range(table, len(stored)) if stored[at : at + 4] == b"PK\1\2"]:
        stored[at + 20 : at + 28] = struct.pack("<2L", table // 2, table // 2)
    path.write_bytes(stored)
    assert "overlap" in refusal(path)


def test_sizes_in_64_bits_and_names_as_zipfile_reads_them(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in ("é/1.jpg", "猫/2.jpg", "plain/3.jpg"):
            with file.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(name.encode())
        expected = [(info.filename.encode(), info.file_size, info.header_offset, info.CRC) for info in file.infolist()]
    (tmp_path / "a.zip").write_bytes(content.getvalue())
    with (tmp_path / "a.zip").open("rb") as file:
        found = [(one.path, one.size, one.header, one.crc) for one in zip_members(file)]
    assert found == expected


def test_splits_by_their_other_names(tmp_path):
    root = pack(tmp_path / "p.zip", "p/Training/a/1.jpg", "p/Training/b/2.jpg", "p/valid/a/3.jpg", "p/valid/b/4.jpg")
    assert [build_samples("zip", root, split=split).relative_path(1) for split in ("train", "val")] == [
        b"b/2.jpg",
        b"b/4.jpg",
    ]
    with pytest.raises(UserError, match=r"leave data.val_share out"):
        build_samples("zip", root, val_share=0.5)
