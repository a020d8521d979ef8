"""``webhdfs://`` by fsspec's client against a server on loopback, in every format that can lie at an address."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest
from locations import ROOT
from photos_elsewhere import require_same
from test_remote import PATIENT, data, impatient, require_equal, store  # noqa: F401
from values_of_conf import train_transform
from webhdfs_server import webhdfs

from imgcls.data.formats.build import build_samples
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine import hadoop
from imgcls.machine.store import Store

pytest.importorskip("fsspec")
pytest.importorskip("requests")


@pytest.fixture
def server(data):  # noqa: F811
    with webhdfs(data) as (state, address):
        yield state, address


def read(format, address, split="train", options=None, **kwargs):
    return build_samples(format, store=store(address, **(options or {})), split=split, **kwargs)


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_formats_are_those_of_the_directory(data, server, split, tmp_path):  # noqa: F811
    state, address = server
    require_equal(read("folder", address, split), build_samples("folder", root=str(data), split=split))
    require_same(read("list", address, split, class_map=data / "classes.txt"), split)
    require_same(read("tar", f"{address}/shards", split), split)
    require_same(read("webdataset", f"{address}/bare", split), split)
    if find_spec("pyarrow") is not None:
        for kind in ("parquet", "arrow"):
            require_same(read("huggingface", f"{address}/rows/{kind}", split), split)
    shutil.make_archive(str(tmp_path / split), "zip", data / split)
    state.root = tmp_path
    require_equal(
        read("zip", f"{address}/{split}.zip", "train", val_share=0),
        build_samples("zip", root=str(tmp_path / f"{split}.zip"), val_share=0),
    )


def test_what_fails_is_asked_for_again_and_nothing_but_a_share_is_read(data, server):  # noqa: F811
    state, address = server
    state.faults = ["503", "cut", "standby"]
    samples = read("tar", f"{address}/shards", options=PATIENT)
    state.served = 0
    state.faults = ["503", "cut", "stall", "standby", "cut"]
    images = [samples.source(index) for index in range(0, len(samples), 5)]
    assert state.faults == []
    assert state.served < 2 * sum(map(len, images))
    local = build_samples("tar", root=str(data / "shards"))
    assert images == [local.source(index) for index in range(0, len(samples), 5)]
    state.asked.clear()
    copy = pickle.loads(pickle.dumps(samples))
    assert [copy.source(index) for index in range(0, len(samples), 5)] == images
    assert state.asked == []


def test_whose_name_it_is_and_who_may_not_read(server, monkeypatch):
    state, address = server
    state.readers = {"alice"}
    named = address.replace("://", "://alice@")
    require_same(read("tar", f"{named}/shards", "val"), "val")
    assert {user for _, _, user in state.asked} == {"alice"}
    monkeypatch.setenv(hadoop.USER, "bob")
    with pytest.raises(UserError, match=r"There are no shards for 'train' .*Permission denied: user=bob"):
        read("tar", f"{address}/shards")
    with pytest.raises(UserError, match=r"wants a service that lists files: .*Permission denied: user=bob"):
        read("folder", address)
    with pytest.raises(UserError, match=r"has no train\.zip\. .*Permission denied: user=bob"):
        read("zip", address)
    asked = len(state.asked)
    with pytest.raises(UserError, match=r"There is no list of the train images: .*Permission denied: user=bob"):
        read("list", address)
    assert len(state.asked) == asked + 1  # another attempt would not help
    monkeypatch.setenv(hadoop.USER, "alice")
    require_same(read("tar", f"{address}/shards", "val"), "val")


def test_a_service_that_stays_away_ends_in_words(server):
    state, address = server
    samples = read("tar", f"{address}/shards", options={"retries": 1, "timeout": 120})
    state.always = "stall"
    with pytest.raises(UserError, match="could not be read in 2 attempts, the last time: "):
        store(f"{address}/shards", retries=1, timeout=0.5).read("index", 1000)
    for fault, words in {
        "503": "could not be read in 2 attempts, the last time: the server answers 503",
        "standby": "the last time: Operation category READ is not supported in state standby",
    }.items():
        state.always = fault
        with pytest.raises(UserError, match=words):
            samples.source(0)
    state.always = "401"
    with pytest.raises(BadImage, match="the server answers 401"):
        samples.source(0)
    state.always = None
    with pytest.raises(UserError, match="There are no shards for 'train'"):
        read("tar", f"{address}/nowhere")


def test_a_server_that_sends_without_end_is_heard_no_longer_than_needed(server, monkeypatch):
    state, address = server
    monkeypatch.setattr(hadoop, "LISTING_BYTES", 1 << 20)
    samples = read("tar", f"{address}/shards", options={"retries": 0, "timeout": 60})
    state.always = "flood"
    for ask in (lambda: samples.source(0), lambda: store(address, retries=0).entries("")):
        with pytest.raises(UserError, match="the last time: the server sends more than"):
            ask()
    assert state.flooded < 64 << 20  # what the sockets have room for


def test_a_refusal_over_hadoops_own_protocol_is_told_in_its_words():
    """As hdfs-native has it from a name node of Hadoop 2.7.3."""
    error = RuntimeError(
        'RPCError("org.apache.hadoop.security.AccessControlException", "Permission denied: user=nobody, access=READ, '
        'inode=\\"/private\\":root:supergroup:drwx------\\n\\tat org.apache.hadoop.hdfs.server.namenode")'
    )
    said = 'Permission denied: user=nobody, access=READ, inode="/private":root:supergroup:drwx------'
    assert hadoop.refusal(error) == said
    assert hadoop.refusal(RuntimeError("StandbyException")) is None


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("webhdfs://there/photos", "names no host and port, as webhdfs://namenode:9870/photos does"),
        ("webhdfs:///photos", "names no host and port"),
        ("hdfs:///photos", "names no host, as hdfs://namenode:8020/photos does"),
        ("hdfs://alice@there/photos", "set HADOOP_USER_NAME=alice in the environment"),
        ("webhdfs://there:99999999/photos", "Port out of range"),
        ("webhdfs://alice:secret@there:9870/photos", "holds a password"),
    ],
)
def test_an_address_that_leaves_something_open(root, words):
    with pytest.raises(UserError, match=words) as caught:
        store(root)
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def hdfs(data):  # noqa: F811
    """A real HDFS that the variable names, ``hdfs://namenode:8020``, with the data in a directory of its own."""
    address = os.environ.get("IMGCLS_TEST_HDFS")
    if address is None:
        pytest.skip("IMGCLS_TEST_HDFS names no HDFS")
    native = pytest.importorskip("hdfs_native")
    client, own = native.Client(address), f"/imgcls-test-{os.getpid()}/我的 照片 #1?"
    for path in sorted(data.rglob("*")):
        if path.is_file():
            with client.create(f"{own}/{path.relative_to(data)}", native.WriteOptions(overwrite=True)) as file:
                file.write(path.read_bytes())
    yield f"{address}{own}"
    client.delete(own.rpartition("/")[0], True)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_real_hdfs_is_the_directory(data, hdfs, split):  # noqa: F811
    require_equal(read("folder", hdfs, split), build_samples("folder", root=str(data), split=split))
    require_same(read("list", hdfs, split, class_map=data / "classes.txt"), split)
    require_same(read("tar", f"{hdfs}/shards", split), split)
    require_same(read("webdataset", f"{hdfs}/bare", split), split)
    for kind in ("parquet", "arrow"):
        require_same(read("huggingface", f"{hdfs}/rows/{kind}", split), split)


def test_what_has_been_read_over_hdfs_is_in_no_workers_way(data, hdfs):  # noqa: F811
    """hdfs-native keeps connections for the next file, which a forked worker would wait for in vain."""
    samples, local = read("tar", f"{hdfs}/shards"), build_samples("tar", root=str(data / "shards"))
    transform, images = train_transform(32), []
    samples.source(0)
    for one in (samples, local):
        dataset = ImageDataset(one, transform, seed=3)
        loader = build_loader(dataset, EpochSampler(len(one), 16), num_workers=2, timeout=120)
        images.append([batch[0].numpy() for batch in loader])
    for remote, here in zip(*images, strict=True):
        assert (remote == here).all()


def test_an_hdfs_that_does_not_answer_ends_in_words_and_leaves_no_process():
    pytest.importorskip("hdfs_native")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        there = Store(f"hdfs://127.0.0.1:{silent.getsockname()[1]}/photos", 2.0, 1, 1 << 20)
        opened = []
        there._open = lambda: opened.append(Store._open(there)) or opened[-1]
        with pytest.raises(UserError, match="could not be read in 2 attempts, the last time: no answer in time"):
            there.read_part("a.tar", 0, 10, of=10)
    assert [one._process.poll() is None for one in opened] == [False, False]


@pytest.mark.full
def test_two_ranks_have_the_bits_of_two_with_a_directory(data, server, tmp_path):  # noqa: F811
    server[0].faults = ["503", "cut"] * 2
    words = ["data=tar", "model=mobilenetv1_x0_25", "transform.size=32", "trainer.epochs=1", "trainer.num_workers=1"]
    words += ["trainer.batch_size=8", "trainer.processes=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, root in (("local", data / "shards"), ("remote", f"{server[1]}/shards")):
        command = [sys.executable, "-m", "imgcls.train", *words, f"data.root={root}", f"run.name={name}"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=600)
    weights = [tmp_path / "outputs" / name / "checkpoints/last/network.pdparams" for name in ("local", "remote")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert server[0].faults == []
