"""Files of other libraries that ask for memory or time: of ``torch.save``, and ``.safetensors``."""

import json
import zipfile

import numpy as np
import pytest

from imgcls.weights.torch_file import LEGACY_START

PREFIX = b"\x80\x02}"
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4tQ"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\0(K\4tK\1\x85\x89}tR"
STRETCHED = TENSOR.replace(b"(K\4t", b"(J\xff\xff\xff\x7fK\4t").replace(b"K\1\x85", b"K\0K\1\x86")
PICKLES = {
    "a tensor of gigabytes on four numbers": PREFIX + b"K\0" + STRETCHED + b"s.",
    "names without end": PREFIX + b"".join(b"K\0ctorch\nFloatStorage\ns" for _ in range(300_000)) + b".",
    "one tensor again and again": PREFIX + b"(" + (b"K\0" + TENSOR) * 40_000 + b"u.",
    "a size of sizes": PREFIX + b"K\0(" + b"K\1" * 200_000 + b"tq\0" + b"ctorch\nSize\nh\0\x85R" * 5000 + b".",
    "a parameter of a parameter": PREFIX + b"K\0" + b"ctorch._utils\n_rebuild_parameter\nK\1\x85R" * 90_000 + b".",
}


@pytest.mark.parametrize("name", PICKLES)
def test_bombs_in_a_torch_archive(refused, tmp_path, name):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", PICKLES[name])
        file.writestr("x/data/0", bytes(16))
    refused("read_weights", path)


def test_bombs_around_a_torch_pickle(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "deflated.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", b"\x80\x02" + b"N0" * 40_000_000)
    refused("read_weights", tmp_path / "deflated.pth")
    start = LEGACY_START + b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s."
    counts = {"storages": b"\x80\x02]X\1\0\0\x000a." + (1 << 40).to_bytes(8, "little"), "nothing": b""}
    for name, rest in counts.items():
        legacy = PREFIX + b"K\0" + TENSOR.replace(b"K\4tQ", b"J\xff\xff\xff\x7fNtQ") + b"s."
        (tmp_path / f"{name}.pth").write_bytes(start + legacy + rest)
        refused("read_weights", tmp_path / f"{name}.pth")


def test_bombs_of_safetensors(refused, tmp_path):
    def file(name, text, length=None):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text)
        return path

    refused("read_weights", file("gigabytes", b"{}", 3_000_000_000))
    entry = {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 4 << 30]}
    refused("read_weights", file("a long tensor", json.dumps({"w": entry}).encode()))
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    refused("read_weights", file("many", json.dumps({str(n): nothing for n in range(110_000)}).encode()))
    refused("read_weights", file("deep", b'{"w":' * 900_000))
    refused("read_weights", file("digits", b'{"w":' + b"9" * 5_000_000 + b"}"))
    draw = np.random.default_rng(0)
    for number in range(20):
        refused("read_weights", file(f"noise {number}", b"{" + draw.bytes(4000)))
