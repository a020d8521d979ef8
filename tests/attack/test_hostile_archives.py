"""Tars, zips, fluid variables and programs that say other than what they hold."""

import io
import os
import random
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from locations import REFERENCE

from imgcls.weights.fluid.protobuf import varint
from imgcls.weights.fluid.record import encode

RECORD = encode(np.ones((2, 2), np.float32), "")
FLUID = REFERENCE / "fluid_checkpoint"


def header(name, size, kind=b"0"):
    """A tar's header block of whatever it is told."""
    block = bytearray(512)
    block[: len(name)] = name
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[100:108], block[124:136], block[136:148], block[148:156] = b"0000644\0", field, b"0" * 11 + b"\0", b" " * 8
    block[156:157], block[257:265] = kind, b"ustar\00000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def pax(content):
    return header(b"pax", len(content), b"x") + padded(content)


END = bytes(1024)
MEMBER = header(b"net/fc", len(RECORD)) + padded(RECORD)
TARS = {
    "a size beyond the end": header(b"net/fc", 10**9) + padded(RECORD) + END,
    "a size of terabytes": header(b"net/fc", 10**13) + padded(RECORD) + END,
    "a negative size": header(b"net/fc", 2**88 - 1).replace(b"\x80", b"\xff") + END,
    "a pax size of terabytes": pax(b"22 size=9999999999999\n") + MEMBER + END,
    "a pax size of many digits": pax(b"1019 size=" + b"9" * 1008 + b"\n") + MEMBER + END,
    "a pax header of digits": pax(b"1" * 65536) + MEMBER + END,
    "a pax header of digits and more": pax((b"1" * 300 + b" " + b"1" * 300) * 100) + MEMBER + END,
    "a pax header of a megabyte": pax(b"1000000 path=" + b"x" * 999_986 + b"\n") + MEMBER + END,
    "many pax headers": pax(b"65536 comment=" + b"x" * 65521 + b"\n") * 300 + MEMBER + END,
    "a pax header of length nought": pax(b"0 path=x\n") + MEMBER + END,
    "a pax header that goes on": pax(b"9999 path=x\n") + MEMBER + END,
    "a sparse file": pax(b"22 GNU.sparse.major=1\n") + MEMBER + END,
    "a link by pax": pax(b"25 linkpath=/etc/passwd\n") + MEMBER + END,
    "a long name of a gigabyte": header(b"././@LongLink", 1 << 30, b"L") + END,
    "a name of 60,000 bytes": header(b"././@LongLink", 60_000, b"L") + padded(b"x" * 60_000) + MEMBER + END,
    "out of it": header(b"net/../../fc", len(RECORD)) + padded(RECORD) + END,
    "out of it by pax": pax(b"24 path=../../../etc/fc\n") + MEMBER + END,
    "absolute": header(b"/etc/fc", len(RECORD)) + padded(RECORD) + END,
    "a symbolic link": header(b"net/fc", 0, b"2") + END,
    "a device": header(b"net/fc", 0, b"3") + END,
    "a FIFO": header(b"net/fc", 0, b"6") + END,
    "an old sparse file": header(b"net/fc", 0, b"S") + END,
    "cut between two members": MEMBER,
    "cut in the end": MEMBER + bytes(100),
    "100,001 members": header(b"net/fc", 0) * 100_001 + END,
    "a member that is no variable": header(b"net/fc", 600) + bytes(1024) + END,
}


@pytest.mark.parametrize("name", TARS)
@pytest.mark.parametrize("reader", ["read_weights", "check_tar"])
def test_a_tar_that_lies_is_refused(refused, tmp_path, name, reader):
    (tmp_path / "net.tar").write_bytes(TARS[name])
    assert "net.tar" in refused(reader, tmp_path / "net.tar")


def test_the_tar_these_are_made_from_is_read(ask_bounded, tmp_path):
    (tmp_path / "net.tar").write_bytes(pax(b"19 path=net/weight\n") + MEMBER + MEMBER + END)
    assert ask_bounded("read_weights", tmp_path / "net.tar") == ["read"]


def test_tars_of_every_format_are_read(ask_bounded, tmp_path):
    name = "net/" + "long/" * 30 + "权重"
    for number in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w", format=number) as archive:
            member = tarfile.TarInfo(name)
            member.size = len(RECORD)
            archive.addfile(member, io.BytesIO(RECORD))
        assert ask_bounded("read_weights", path) == ["read"]


def npz(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(text, values=b"", version=b"\1\0"):
    width = 2 if version == b"\1\0" else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(width, "little") + text + values


def described(shape, code="<f4"):
    return f"{{'descr': '{code}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


NPYS = {
    "fewer values than it says": npy(described("(1000000000000,)"), bytes(100)),
    "a shape that overflows": npy(described(f"({'999999999999, ' * 9})"), bytes(100)),
    "a shape of nothing that overflows": npy(described(f"(0, {'999999999999, ' * 9})")),
    "100 dimensions": npy(described(f"({'1, ' * 100})"), bytes(4)),
    "objects": npy(described("(1,)", "|O"), b"\x80\x04N."),
    "a header of gigabytes": b"\x93NUMPY\2\0\xff\xff\xff\xff" + b"{" * 1000,
    "a header of brackets": npy(b"(" * 4000),
    "a header of signs": npy(b"-" * 4000 + b"1"),
    "a header of digits": npy(described("1" * 4000)),
    "a header that calls": npy(b"__import__('os').system('touch executed')"),
    "no array at all": b"\x80\x04N.",
}


@pytest.mark.parametrize("name", NPYS)
def test_an_array_that_lies_is_refused(refused, tmp_path, name):
    path = npz(tmp_path / "w.npz", {"w.npy": NPYS[name]})
    assert "w.npz is not an .npz file of numeric arrays" in refused("read_weights", path)


def test_a_zip_bomb_is_refused(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as file:
        file.write(npy(described("(75000000,)")))
        for _ in range(300):
            file.write(bytes(10**6))
    assert "that would become 300,0" in refused("read_weights", tmp_path / "w.npz")


def test_members_that_overlap_and_tables_without_end(refused, tmp_path):
    content = npz(tmp_path / "w.npz", {"w.npy": npy(described("(1000000,)"), os.urandom(4_000_000))}).read_bytes()
    table = content.index(b"PK\1\2")
    entry, end = content[table:-22], content[-22:]
    for name, times in (("overlap", 200), ("table", 200_000)):
        changed = end[:8] + struct.pack("<HHI", *[min(times, 65535)] * 2, len(entry) * times) + end[16:]
        (tmp_path / name).write_bytes(content[:table] + entry * times + changed)
        answer = refused("read_weights", tmp_path / name)
        assert {"overlap": "overlap", "table": "a table of contents of"}[name] in answer


def test_arrays_as_numpy_writes_them_are_read(ask_bounded, tmp_path):
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.float64(1), "c": np.zeros((0, 3)), "d": np.ones((3, 2)).T}
    arrays |= {"e": np.ones(3, ">i8"), "f": np.ones(2, np.float16), "g": np.ones(2, bool), "h": np.ones(2, complex)}
    np.savez(tmp_path / "w.npz", **arrays)
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    assert ask_bounded("read_weights", tmp_path / "w.npz", tmp_path / "small.npz") == ["read", "read"]


def record(description, values=b"", levels=b""):
    head = struct.pack("<IQ", 0, 1 if levels else 0) + levels + struct.pack("<Ii", 0, len(description))
    return head + description + values


VARIABLES = {
    "100,000 dimensions": record(b"\x08\x05" + b"\x10\x01" * 100_000, bytes(4)),
    "1,000 dimensions": record(b"\x08\x05" + b"\x10\x01" * 1000, bytes(4)),
    "sizes that overflow": record(b"\x08\x05" + (b"\x10" + varint(2**39)) * 30, bytes(4)),
    "sizes of nothing that overflow": record(b"\x08\x05\x10\x00" + (b"\x10" + varint(2**39)) * 30),
    "a negative size": record(b"\x08\x05\x10" + varint(2**64 - 1) + b"\x10" + varint(2**64 - 1), bytes(4)),
    "a size that is a text": record(b"\x08\x05\x12\x01a", bytes(4)),
    "a type that is a text": record(b"\x0a\x01a\x10\x01", bytes(4)),
    "a type of 2**69": record(b"\x08" + b"\xff" * 9 + b"\x7f\x10\x01", bytes(4)),
    "an endless number": record(b"\x08" + b"\xff" * 1000, bytes(4)),
    "a level of exabytes": record(b"\x08\x05\x10\x01", bytes(4), struct.pack("<Q", 2**63)),
    "a level of megabytes": record(b"\x08\x05\x10\x01", bytes(4), struct.pack("<Q", 10**6) + bytes(10**6)),
    "a gigabyte that is not there": record(b"\x08\x05\x10" + varint(2**28), bytes(4)),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_lies_is_refused(refused, tmp_path, name):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "fc").write_bytes(VARIABLES[name])
    assert "fc" in refused("read_weights", tmp_path / "net")


def test_changed_variables_are_read_or_refused(ask_bounded, tmp_path):
    generator = random.Random(0)
    paths = []
    for number in range(400):
        changed = bytearray(RECORD)
        for _ in range(generator.randint(1, 4)):
            changed[generator.randrange(len(changed) - 16)] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(changed)
    ask_bounded("read_variable", *paths)


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def variable(name, kind=None):
    kind = field(1, 7) if kind is None else kind
    return field(1, field(3, field(1, name) + field(2, kind) + field(3, 1)))


PROGRAMS = {
    "a name that is a number": variable(10**9),
    "a name of nothing": variable(b""),
    "a name of a megabyte": variable(b"x" * 10**6),
    "a type that is a number": variable(b"fc", 10**9),
    "a block that is a number": field(1, 10**9),
    "a variable that is a number": field(1, field(3, 10**9)),
    "fields without end": b"\x08\x00" * 2_000_000,
    "blocks without end": field(1, b"") * 1_000_000,
    "fields of a variable without end": field(1, field(3, b"\x20\x00" * 1_000_000)),
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "groups": b"\x0b" * 100_000,
    "a number without end": b"\x08" + b"\xff" * 100_000,
    "messages in messages": None,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_lies_is_refused(refused, tmp_path, name):
    content = PROGRAMS[name]
    if content is None:
        content = b""
        for _ in range(2000):
            content = field(1, content)
    (tmp_path / "model").write_bytes(content)
    (tmp_path / "params").write_bytes(RECORD)
    answer = refused("read_weights", tmp_path)
    assert "model is not a saved program" in answer or "a program without parameters" in answer


def test_changed_programs_are_read_or_refused(ask_bounded, tmp_path):
    whole, params = ((FLUID / "inference" / name).read_bytes() for name in ("model", "params"))
    generator = random.Random(1)
    paths = []
    for number in range(40):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 30)):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        paths.append(tmp_path / str(number))
        paths[-1].mkdir()
        (paths[-1] / "model").write_bytes(changed)
        (paths[-1] / "params").write_bytes(params)
    ask_bounded("read_weights", *paths)


@pytest.mark.parametrize("suffix", [".pdparams", ".npz", ".tar", ""])
def test_noise_and_changed_archives_are_read_or_refused(ask_bounded, tmp_path, suffix):
    generator = random.Random(suffix)
    (tmp_path / "net.tar").write_bytes(pax(b"19 path=net/weight\n") + MEMBER + MEMBER + END)
    np.savez(tmp_path / "w.npz", a=np.ones((2, 3)), b=np.zeros(2))
    wholes = [(tmp_path / name).read_bytes() for name in ("net.tar", "w.npz")]
    paths = []
    for number in range(200):
        changed = bytearray(wholes[number % 2] if number % 5 else generator.randbytes(generator.randrange(2000)))
        for _ in range(generator.randint(1, 5) if changed else 0):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        paths.append(tmp_path / f"{number}{suffix}")
        paths[-1].write_bytes(changed)
    ask_bounded("read_weights", *paths)


@pytest.mark.parametrize("name", ["w.pdparams", "w.npz", "w.tar", "w"])
def test_what_is_no_file_is_not_read(refused, tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "it is a device, a pipe or a socket" in refused("read_weights", tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    assert "it is a device, a pipe or a socket" in refused("read_weights", tmp_path / name)


def test_a_name_that_no_file_can_have(refused, tmp_path):
    assert "There are no weights at" in refused("read_weights", tmp_path / ("x" * 3000))
