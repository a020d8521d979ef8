"""Parquet and Arrow files behind a real web server that fails: the samples of the same directory, a share at a time."""

import pickle
import shutil

import pytest
from faulty_server import serving
from photos_elsewhere import require_same, write_rows
from test_remote import PATIENT, impatient, require_equal, store  # noqa: F401
from values_of_conf import train_transform

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.table_list import Columns
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError

pytest.importorskip("pyarrow")
SPLITS = ("train", "val")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("rows") / "我的 照片"
    write_rows(root)
    return root


@pytest.fixture
def server(rows):
    with serving(rows) as (state, address):
        yield state, address


def read(address, split="train", options=None, **kwargs):
    return build_samples("huggingface", store=store(address, **(options or {})), split=split, **kwargs)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_they_are_the_directory_through_faults(rows, server, kind):
    state, address = server
    for split in SPLITS:
        state.faults = ["503", "cut", "503"]
        samples = read(f"{address}/{kind}", split, options=PATIENT)
        require_equal(samples, build_samples("huggingface", root=str(rows / kind), split=split))
        state.faults = ["503", "cut", "stall"]
        require_same(pickle.loads(pickle.dumps(samples)), split)
        assert state.faults == []
    share = {"val_share": 0.2}
    for name in (f"{kind}/data/validation-00000-of-00001.parquet", f"{kind}/validation/state.json"):
        (rows / name).rename(rows / "aside") if (rows / name).exists() else None
    try:
        for split in SPLITS:
            local = build_samples("huggingface", root=str(rows / kind), split=split, **share)
            require_equal(read(f"{address}/{kind}", split, **share), local)
        with pytest.raises(UserError, match=r"has no split for 'val', which may be called validation .* It has train"):
            read(f"{address}/{kind}", "val")
    finally:
        there = {"parquet": "parquet/data/validation-00000-of-00001.parquet", "arrow": "arrow/validation/state.json"}
        (rows / "aside").rename(rows / there[kind])
    with pytest.raises(UserError, match="has pictures for 'val' already"):
        build_samples("huggingface", root=str(rows / kind), **share)
    with pytest.raises(UserError, match="is divided already"):
        read(f"{address}/{kind}", **share)


def fetched(state):
    parts = (part[6:].split("-") for path, part in state.asked if path.endswith((".parquet", ".arrow")) and part)
    return sum(int(end) - int(start) + 1 for start, end in parts)


def test_classes_are_read_without_images_and_images_by_groups_of_rows(rows, server):
    """Of 85 pictures in groups of 20 rows, those of a share in the first group cost that group and no more."""
    state, address = server
    samples = read(f"{address}/parquet")
    whole = sum(path.stat().st_size for path in (rows / "parquet" / "data").glob("train*"))
    assert fetched(state) < whole / 5  # 64 KB at the end of each file, and the classes
    state.asked.clear()
    images = [samples.source(index) for index in range(20)]
    assert sum(map(len, images)) < fetched(state) < whole / 2
    state.asked.clear()
    assert [samples.source(index) for index in range(20)] == images
    assert state.asked == []
    other = pickle.loads(pickle.dumps(samples))  # as a second rank of this machine has it
    assert [other.source(index) for index in range(20)] == images
    assert state.asked == []
    state.asked.clear()
    shards = read(f"{address}/arrow")
    state.asked.clear()
    assert [shards.source(index) for index in range(20)] == images
    assert fetched(state) == sum(map(len, images))


def test_the_cache_stays_within_its_bound_and_may_be_none(server, tmp_path):
    for limit in (600_000, 0):
        samples = read(f"{server[1]}/parquet", "val", options={"cache_bytes": limit})
        require_same(samples, "val")
        kept = [path for path in (tmp_path / "cache" / "remote").glob("??/*") if not path.name.startswith(".")]
        assert sum(path.stat().st_size for path in kept) <= 600_000


def test_workers_fetch_the_batches_that_a_directory_gives(rows, server):
    transform, batches = train_transform(32), []
    for samples in (build_samples("huggingface", root=str(rows / "parquet")), read(f"{server[1]}/parquet")):
        dataset = ImageDataset(samples, transform, seed=3)
        loader = build_loader(dataset, EpochSampler(len(samples), 16, shuffle=True, seed=1), num_workers=2)
        batches.append([[tensor.numpy() for tensor in batch] for batch in loader])
    for remote, local in zip(*batches, strict=True):
        for one, other in zip(remote, local, strict=True):
            assert (one == other).all()


def test_what_is_wrong_there_ends_in_words(rows, server, tmp_path):
    state, address = server
    samples = read(f"{address}/parquet", options={"retries": 2})
    state.always = "503"
    with pytest.raises(UserError, match=r"could not be read in 3 attempts, the last time: the server answers 503"):
        samples.source(0)
    state.always = "whole"
    with pytest.raises(UserError, match="gives no parts of files"):
        samples.source(0)
    state.always = None
    with pytest.raises(UserError, match="has no such column"):
        read(f"{address}/parquet", columns=Columns("foto", None))
    with pytest.raises(UserError, match="data=huggingface wants a service that lists files"):
        read(f"{address}/nowhere")
    state.root = tmp_path
    shutil.copytree(rows / "parquet", tmp_path / "parquet")
    file = tmp_path / "parquet" / "data" / "train-00000-of-00002.parquet"
    content = bytearray(file.read_bytes())
    content[2000:90_000] = bytes(88_000)
    file.write_bytes(content)
    damaged = read(f"{address}/parquet")
    with pytest.raises(BadImage, match=r"Cannot read the image .*train-00000-of-00002\.parquet, row 1: "):
        damaged.source(0)
    changed = read(f"{address}/parquet")
    file.write_bytes(content[:-100])
    with pytest.raises(BadImage, match="has changed since it was indexed"):
        changed.source(0)
    with pytest.raises(UserError, match=r"The data set in .* cannot be read: Parquet magic bytes not found"):
        read(f"{address}/parquet")
