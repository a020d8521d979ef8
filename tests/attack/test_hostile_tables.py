"""Tables, archives of pictures and what a run logged, from a stranger: read, or refused in one message, in bounds."""

import contextlib
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imgcls.machine.limits import LINE_BYTES

ROWS = "".join(f"{number},a\n" for number in range(60_000))
TABLES = {
    "a row without end": b"image,label\n" + b"," * (16 << 20),
    "a header without end": b"image," * (2 << 20),
    "a cell over lines": b'image,label\n"' + b"\n" * (2 << 20),
    "rows of nothing": b"image,label\n" + b"a\n" * 300_000,
    "wrong classes": b"image,label\n" + b"a,\n" * 300_000,
    "a number": b"image,label\na," + b"9" * 100_000 + b"\nb,1\n",
    "zeros": b"image,label\n" + b"\0,\0\n" * 1000,
    "no text": bytes(range(256)) * 100,
    "lines that end at nothing": b"\r" * (1 << 20),
    "a workbook": b"PK\3\4" + bytes(1 << 20),
    "one byte each": b"image,label\n" + ROWS.encode(),
    "classes without end": b"image,label\n" + b"".join(b"%d,%x\n" % (n, n) for n in range(60_000)),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("reader", ["read_table", "read_tags", "read_history"])
def test_tables_that_grow(ask_bounded, tmp_path, reader, name):
    (tmp_path / "t.csv").write_bytes(TABLES[name])
    ask_bounded(reader, tmp_path / "t.csv")


def test_lists_of_tags_that_grow(ask_bounded, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a " + b"1," * LINE_BYTES)
    (tmp_path / "b.txt").write_bytes(b"a 0\n" * 100_000)
    (tmp_path / "c.txt").write_bytes(b"a\n" * 200_000)
    answers = ask_bounded("read_tags", *(tmp_path / name for name in ("a.txt", "b.txt", "c.txt")))
    assert "labels of 2,097,152 characters" in answers[0]
    assert answers[1] == "read"
    assert answers[2].startswith("200,000 lines of the list")


def test_changed_tables_are_read_or_refused(ask_bounded, tmp_path):
    whole = ('image;label\n"a; ""b"".jpg";猫\n' + "c.jpg;dog\n" * 20).encode()
    picker, paths = random.Random(0), []
    for number in range(60):
        content = bytearray(whole)
        for _ in range(picker.randint(1, 8)):
            place = picker.randrange(len(content))
            content[place : place + picker.randint(0, 4)] = picker.choice(
                [b'"', b"\0", b"\xff", b";", b"\r", b"\n", b",", b"="]
            )
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_bytes(content)
    for reader in ("read_table", "read_tags", "read_history"):
        ask_bounded(reader, *paths)


LOGS = {
    "dates that are none": b"2026-13-45 99:99:99 INFO x\n" * 1000,
    "starts without end": b"2026-01-01 00:00:00 INFO " + b"; commit " * (1 << 20),
    "no text": bytes(range(256)) * 1000,
    "a line without end": b"2026-01-01 00:00:00 " + b"x" * (8 << 20),
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_runs_that_are_compared(ask_bounded, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("trainer:\n  monitor: top1\n")
    (run / "status.json").write_text('{"status": "finished"}')
    (run / "train.log").write_bytes(LOGS[name])
    assert ask_bounded("compare", run) == ["read"]


@pytest.mark.parametrize(
    "config", ["trainer:\n  monitor: 3\n", "trainer: [1]\n", "3\n", "trainer:\n  monitor_mode: [1]\n"]
)
def test_configurations_of_runs_that_are_compared(ask_bounded, tmp_path, config):
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "status.json").write_text('{"status": 3}')
    assert ask_bounded("compare", tmp_path)[0] in (
        "read",
        f"{tmp_path}: config.yaml or status.json is damaged. Leave the run out.",
    )


def tar_member(name: bytes, content: bytes) -> bytes:
    head = bytearray(512)
    head[:100] = name.ljust(100, b"\0")
    head[124:136] = b"%011o\0" % len(content)
    head[156:157], head[257:265] = b"0", b"ustar\00000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


LABELS = {
    "deep": b"[" * 500_000,
    "lists": b"[" + b"[]," * 300_000 + b"[]]",
    "a number": b'{"label": ' + b"9" * 100_000 + b"}",
    "infinite": b'{"label": Infinity}',
    "half a character": b'{"label": "\\ud800"}',
    "a break": b'{"label": "a\\nb"}',
    "large": b'{"label": "' + b"x" * (2 << 20) + b'"}',
    "no text": b"\xff\xfe",
    "nothing": b"",
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("kind", ["json", "cls"])
def test_labels_in_shards(ask_bounded, tmp_path, name, kind):
    members = tar_member(b"1.jpg", b"x") + tar_member(f"1.{kind}".encode(), LABELS[name])
    (tmp_path / "train.tar").write_bytes(members + bytes(1024))
    ask_bounded("read_webdataset", tmp_path)


def test_an_index_with_a_header_that_grows_is_made_anew(ask_bounded, tmp_path):
    (tmp_path / "train.tar").write_bytes(tar_member(b"1.jpg", b"x") + tar_member(b"1.cls", b"3") + bytes(1024))
    arrays = {name: np.zeros(1, np.int64) for name in ("lengths", "classes", "shard_of", "offsets", "sizes", "names")}
    for header in (b"[" + b"[]," * (5 << 20) + b"[]]", b"[" * 200_000, b'{"version": ' + b"1" * 100_000 + b"}"):
        np.savez(tmp_path / "index-webdataset-train.npz", header=np.frombuffer(header, np.uint8), **arrays)
        assert ask_bounded("read_webdataset", tmp_path) == ["read"]


def test_zips_that_grow(ask_bounded, tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1.jpg", b"x")
        file.writestr("b/large.jpg", bytes(100 << 20))
        file.writestr("b/" + "deep/" * 5000 + "1.jpg", b"x")
        file.writestr("../../etc/1.jpg", b"x")
        file.writestr("b/without an ending", bytes(50 << 20))
    ask_bounded("read_zip", path)
    whole, paths, picker = path.read_bytes(), [], random.Random(0)
    for number in range(60):
        content = bytearray(whole)
        for _ in range(8):
            content[-picker.randrange(1, 600)] = picker.randrange(256)
        paths.append(tmp_path / f"{number}.zip")
        paths[-1].write_bytes(content)
    ask_bounded("read_zip", *paths)


def test_what_a_search_reads(ask_bounded, tmp_path):
    facts = {"class_names": ["a"], "origin": {}, "command": []}
    arrays = {"paths": np.array(["a", "b"]), "features": np.zeros((2, 3), np.float32), "labels": np.zeros(2, np.int64)}

    def ask(name: str, other_facts: object = facts, **others: np.ndarray) -> str:
        directory = Path(tmp_path, name)
        directory.mkdir()
        (directory / "index.json").write_text(json.dumps(other_facts))
        np.savez_compressed(directory / "index.npz", **{**arrays, **others})
        return ask_bounded("read_search", directory)[0]

    assert ask("whole") == "read"
    for number, other in enumerate(
        [[], 3, {**facts, "class_names": 3}, {**facts, "class_names": [3]}, {**facts, "origin": 1}]
    ):
        assert "damaged" in ask(f"facts {number}", other)
    assert "damaged" in ask("rows", features=np.zeros((3, 3), np.float32))
    assert "damaged" in ask("numbers", features=np.full((2, 3), np.nan, np.float32))
    assert "damaged" in ask("labels", labels=np.full(2, 9))
    assert "damaged" in ask("zeros", features=np.zeros((2, 40 << 20), np.float32))


parquet = pytest.importorskip("pyarrow.parquet")


def test_parquet_that_grows(tmp_path, monkeypatch):
    """A picture of 64 MB that takes a few KB, a thousand times: neither the memory nor the disk for it is taken."""
    import pyarrow as arrow

    from imgcls.data.formats.hugging_face import index_of
    from imgcls.data.formats.table_list import Columns
    from imgcls.errors import UserError
    from imgcls.machine.memory import growth

    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    image = arrow.DictionaryArray.from_arrays(
        arrow.array([0] * 1000, arrow.int32()), arrow.array([bytes(64 << 20)], arrow.binary())
    )
    parquet.write_table(
        arrow.table({"image": image, "label": [0] * 1000}), tmp_path / "train.parquet", compression="zstd"
    )
    assert (tmp_path / "train.parquet").stat().st_size < 1 << 20

    def refused() -> str:
        with pytest.raises(UserError) as caught:
            index_of(tmp_path, "train", Columns())
        return str(caught.value)

    message, grown = growth(refused)
    assert str(tmp_path) in message
    assert grown is None or grown < 1 << 30
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_changed_parquet_and_arrow_files_are_read_or_refused(tmp_path, monkeypatch):
    import pyarrow as arrow

    from imgcls.data.formats.hugging_face import index_of
    from imgcls.data.formats.table_list import Columns
    from imgcls.errors import UserError

    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    content = arrow.table({"image": arrow.array([b"abc", b"de"] * 5, arrow.binary()), "label": [0, 1] * 5})
    root = tmp_path / "photos"
    root.mkdir()
    parquet.write_table(content, root / "train.parquet")
    whole, picker = (root / "train.parquet").read_bytes(), random.Random(0)
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(picker.randint(1, 6)):
            changed[picker.randrange(4, len(changed) - 8)] = picker.randrange(256)
        (root / "train.parquet").write_bytes(changed)
        with contextlib.suppress(UserError):
            index_of(root, "train", Columns())


def test_a_state_that_names_what_is_no_file(tmp_path):
    from imgcls.data.formats.hugging_face import index_of
    from imgcls.data.formats.table_list import Columns
    from imgcls.errors import UserError

    for name in ("a\0.arrow", "../x.arrow", "x.arrow"):
        (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(UserError, match=r"names files that are none|cannot be read"):
            index_of(tmp_path, "train", Columns())
