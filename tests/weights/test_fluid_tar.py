"""Published tars are read without unpacking, and a hostile one touches nothing."""

import io
import tarfile

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.weights.fluid import files as fluid
from imgcls.weights.fluid.record import encode

RECORD = encode(np.ones((2, 2), np.float32), "")


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, change in members.items():
            member = tarfile.TarInfo(name)
            data = change if isinstance(change, bytes) else RECORD
            member.size = len(data)
            if isinstance(change, dict):
                for attribute, value in change.items():
                    setattr(member, attribute, value)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_a_published_tar_equals_its_directory(fluid_checkpoint, tmp_path):
    folder = fluid_checkpoint / "MobileNetV1_x0_25_pretrained"
    with tarfile.open(tmp_path / "MobileNetV1_x0_25_pretrained.tar", "w") as archive:
        archive.add(folder, folder.name)
    read = fluid.read_tar(tmp_path / "MobileNetV1_x0_25_pretrained.tar")
    expected = fluid.read_directory(folder)
    assert read.keys() == expected.keys()
    assert all(read[name].tobytes() == expected[name].tobytes() for name in read)
    assert [path.name for path in tmp_path.iterdir()] == ["MobileNetV1_x0_25_pretrained.tar"]


@pytest.mark.parametrize("prefix", ["", "./", "Net_pretrained/", "./a/b/Net_pretrained/"])
def test_the_directory_all_files_share_is_not_part_of_the_names(tmp_path, prefix):
    names = ["xception_41/entry_flow/weights", "fc_weights", "res4\x90_weights"]
    path = make_tar(tmp_path / "net.tar", {prefix + name: RECORD for name in names})
    assert fluid.read_tar(path).keys() == set(names)


def test_what_a_mac_adds_is_left_out(tmp_path):
    path = make_tar(tmp_path / "net.tar", {"net/fc": RECORD, "net/._fc": b"resource fork", "._net": b"resource fork"})
    assert list(fluid.read_tar(path)) == ["fc"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"net/fc": RECORD, "../outside": RECORD}, "'../outside' lies outside"),
        ({"net/../../outside": RECORD}, "lies outside"),
        ({"/tmp/outside": RECORD}, "lies outside"),
        ({"net/fc": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}}, "link or a special file"),
        ({"net/fc": {"type": tarfile.LNKTYPE, "linkname": "net/other", "size": 0}}, "link or a special file"),
        ({"net/fc": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5, "size": 0}}, "link or a special file"),
        ({"net/fc": {"type": tarfile.FIFOTYPE, "size": 0}}, "link or a special file"),
        ({"net/fc": {"type": tarfile.GNUTYPE_SPARSE}}, "link or a special file"),
        ({"net/fc": b"no variable at all"}, "member 'net/fc' is not a variable"),
        ({"net": {"type": tarfile.DIRTYPE, "size": 0}}, "without files"),
        ({}, "without files"),
    ],
)
def test_refused_with_the_member_named(tmp_path, members, message):
    with pytest.raises(UserError, match=message):
        fluid.read_tar(make_tar(tmp_path / "net.tar", members))
    assert [path.name for path in tmp_path.iterdir()] == ["net.tar"]


def test_too_large(tmp_path):
    member = tarfile.TarInfo("net/fc")
    member.size = 9 << 30
    (tmp_path / "net.tar").write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(UserError, match="more than 8 GiB"):
        fluid.read_tar(tmp_path / "net.tar")


@pytest.mark.parametrize("size", [0, 100, 600, 1100, 2000])
def test_cut_short(tmp_path, size):
    whole = make_tar(tmp_path / "net.tar", {"net/fc": bytes(3000), "net/conv": RECORD}).read_bytes()
    (tmp_path / "net.tar").write_bytes(whole[:size])
    with pytest.raises(UserError, match=r"net\.tar is not a whole"):
        fluid.read_tar(tmp_path / "net.tar")
    with pytest.raises(UserError, match=r"net\.tar is not a whole"):
        fluid.check_tar(tmp_path / "net.tar")


def test_an_error_page_or_a_compressed_tar(tmp_path):
    (tmp_path / "page.tar").write_text("<!DOCTYPE html><title>404</title>")
    with pytest.raises(UserError, match="begins with the text '<!DOCTYPE html>"):
        fluid.read_tar(tmp_path / "page.tar")
    with pytest.raises(UserError, match="not a whole, uncompressed tar"):
        fluid.read_tar(make_tar(tmp_path / "net.tar.gz", {"net/fc": RECORD}, "w:gz"))
    with pytest.raises(UserError, match="Cannot read"):
        fluid.read_tar(tmp_path / "absent.tar")
