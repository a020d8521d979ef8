"""Data behind an address: the samples of the same directory, through a server that fails, in bounded room."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from faulty_server import serving
from locations import ROOT
from photos_elsewhere import photos, require_same, write_rows
from test_webdataset import write as write_webdataset
from values_of_conf import train_transform

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.record import known
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine import store as stores
from imgcls.machine.store import Store

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
sys.path.insert(0, str(ROOT / "scripts"))
from make_shards import main as make_shards

PATIENT = {"timeout": 0.5, "retries": 30}
"""A stall is waited for so long; on a busy machine more attempts than faults may fail."""

SPLITS = ("train", "val")
ODD = "我的 照片/photo (1) #50%?.jpg"


@pytest.fixture(autouse=True)
def impatient(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "WAIT", 0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The bundled photos as lists and as shards, the first one under an odd name."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "val"):
        lines = []
        for number, (path, name, content) in enumerate(photos(split)):
            path = f"{split}/{ODD if number == 0 else path}"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            lines.append((path, name))
        names = sorted({name for _, name in lines})
        (root / f"{split}_list.txt").write_text("".join(f"{path} {names.index(name)}\n" for path, name in lines))
        (root / f"{split}.csv").write_text("path,class\n" + "".join(f'"{path}",{name}\n' for path, name in lines))
    (root / "empty.jpg").write_bytes(b"")
    (root / "classes.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(names)))
    assert make_shards([str(SAMPLE_PHOTOS), str(root / "shards"), "--shard-mb", "0.5"]) == 0
    (root / "wds").mkdir()
    write_webdataset(root / "wds", lambda number, name: (f"{number:06}.cls", name.encode()))
    for split in ("train", "val"):
        build_samples("webdataset", root / "wds", split=split)
    shutil.copytree(root / "wds", root / "bare", ignore=shutil.ignore_patterns("*.npz"))
    if find_spec("pyarrow") is not None:
        write_rows(root / "rows")
    return root


@pytest.fixture
def server(data):
    with serving(data) as (state, address):
        yield state, address


def store(address, timeout=30, retries=3, cache_bytes=1 << 30):
    return Store(address, timeout, retries, cache_bytes)


def read(format, address, split="train", options=None, **kwargs):
    return build_samples(format, store=store(address, **(options or {})), split=split, **kwargs)


@pytest.mark.parametrize("split", ["train", "val"])
def test_lists_tables_and_shards_are_the_directory(data, server, split):
    _, address = server
    require_same(read("list", address, split, class_map=data / "classes.txt"), split)
    require_same(read("list", address, split, train_list="train.csv", val_list="val.csv"), split)
    require_same(read("tar", f"{address}/shards", split), split)
    require_same(read("webdataset", f"{address}/wds/", split), split)
    own_list = str(data / f"{split}_list.txt")
    require_same(
        read("list", address, split, train_list=own_list, val_list=own_list, class_map=data / "classes.txt"), split
    )


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory):
    """The photos in class directories of odd names, and what is left out beside and among them."""
    root = tmp_path_factory.mktemp("folders")
    for split in ("train", "val"):
        shutil.copytree(data / split, root / split)
        (root / split / "animal (1)").mkdir()
        shutil.move(root / split / "land_animal", root / split / "animal (1)" / "land #1%20")
        (root / split / "animal (1)" / ".hidden").mkdir()
        (root / split / "animal (1)" / "Thumbs.db").write_bytes(b"no picture")
        (root / split / "beside.jpg").write_bytes(b"of no class")
    shutil.rmtree(root / "val" / "tool")
    shutil.copytree(root / "train", root / "undivided" / "inside")
    return root


def require_equal(remote, local):
    assert remote.class_names == local.class_names
    assert remote.labels.tolist() == local.labels.tolist()
    assert list(remote.relative_paths(0, len(remote))) == list(local.relative_paths(0, len(local)))
    assert known(remote) == known(local)


def test_class_directories_are_those_of_this_machine(folders):
    """Names, order, classes, what is left out, what is kept for validation."""
    with serving(folders) as (state, address):
        for split in ("train", "val"):
            state.faults = ["503", "503"]
            left_out, of_local = LeftOut(), LeftOut()
            remote = read("folder", address, split, left_out=left_out, options=PATIENT)
            local = build_samples("folder", root=str(folders), split=split, left_out=of_local)
            require_equal(remote, local)
            assert left_out.line() == of_local.line()
            for index in range(0, len(local), 20):
                assert remote.source(index) == Path(local.source(index)).read_bytes()
        for split in ("train", "val"):
            share = {"split": split, "val_share": 0.3}
            require_equal(
                build_samples("folder", store=store(f"{address}/undivided/inside"), **share),
                build_samples("folder", root=str(folders / "undivided" / "inside"), **share),
            )
        names = build_samples("folder", root=str(folders)).class_names
        require_equal(
            read("folder", f"{address}/undivided/inside", "val", class_names=names),
            build_samples("folder", root=str(folders / "undivided" / "inside"), split="val", class_names=names),
        )
        with pytest.raises(UserError, match=r"is divided already: leave data.val_share out"):
            read("folder", address, val_share=0.2)
        with pytest.raises(
            UserError, match=r"(?s)has no directory 'val'. The folder format wants .*data.val_share=0.2"
        ):
            read("folder", f"{address}/undivided", "val")


def test_directories_of_splits_may_have_their_other_names_there_too(folders, tmp_path):
    shutil.copytree(folders / "train", tmp_path / "Training")
    shutil.copytree(folders / "val", tmp_path / "valid")
    with serving(tmp_path) as (_, address):
        for split in ("train", "val"):
            require_equal(read("folder", address, split), build_samples("folder", root=str(tmp_path), split=split))
        with pytest.raises(UserError, match=r"is divided already: leave data.val_share out"):
            read("folder", address, val_share=0.2)


def test_a_zip_is_copied_once_whole_or_not_at_all(folders, tmp_path, monkeypatch):
    shutil.make_archive(str(tmp_path / "at" / "我的 photos"), "zip", folders)
    for split in ("train", "val"):
        shutil.make_archive(str(tmp_path / "at" / "two" / split), "zip", folders / split)
    monkeypatch.setattr(stores, "PART", 50_000)
    local = {
        split: build_samples("zip", root=str(tmp_path / "at" / "我的 photos.zip"), split=split) for split in SPLITS
    }
    with serving(tmp_path / "at") as (state, address):
        one = f"{address}/我的 photos.zip"
        state.always = "503"
        with pytest.raises(UserError, match="could not be read in 3 attempts"):
            read("zip", one, options={"retries": 2})
        state.always, state.faults = None, ["cut", "503", "cut"]
        for split in SPLITS:
            samples = read("zip", one, split, options=PATIENT)
            require_equal(samples, local[split])
            assert samples.source(3) == local[split].source(3)
        copied = len([path for path, _ in state.asked if path.endswith(".zip")])
        assert copied > 5
        with pytest.raises(UserError, match=r"raise data.remote_cache_gb, or remove what is there. Shards"):
            read("zip", f"{address}/two", options={"cache_bytes": 1000})
        require_equal(read("zip", f"{address}/two", "val"), local["val"])
        state.asked.clear()
        require_equal(read("zip", one), local["train"])
        assert not [part for _, part in state.asked if part]
        (tmp_path / "at" / "我的 photos.zip").write_bytes(b"another file")
        with pytest.raises(UserError, match=r"no zip|damaged"):
            read("zip", one)
        with pytest.raises(UserError, match=r"There is no zip: .*nothing\.zip"):
            read("zip", f"{address}/nothing.zip")
        with pytest.raises(UserError, match=r"has no train\.zip"):
            read("zip", f"{address}/nowhere")
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_a_server_that_lists_nothing_or_leads_round_in_circles(folders, tmp_path, monkeypatch):
    with serving(tmp_path) as (state, address):
        with pytest.raises(
            UserError, match=r"data=folder wants a service that lists files: .*/nowhere/: there is nothing\."
        ):
            read("folder", f"{address}/nowhere")
        with pytest.raises(UserError, match=r"lists files: http://.*there is nothing"):
            read("folder", f"{address}/nowhere".replace("http", "HTTP"))
        (tmp_path / "train" / "cat").mkdir(parents=True)
        (tmp_path / "train" / "cat" / "again").symlink_to(tmp_path / "train" / "cat")
        with pytest.raises(UserError, match="it lies in more than 32 directories"):
            read("folder", address)
        (tmp_path / "page.html").write_bytes(b"a page without end")
        state.always = "flood"
        monkeypatch.setattr(stores, "LISTING_BYTES", 1000)
        with pytest.raises(UserError, match="is larger than 1,000 bytes"):
            read("folder", f"{address}/page.html")


def test_what_fails_is_asked_for_again_and_the_bytes_are_the_same(data, server):
    state, address = server
    samples = read("tar", f"{address}/shards", options=PATIENT)
    files = read("list", address, options=PATIENT, class_map=data / "classes.txt")
    for one in (samples, files):
        state.faults = ["503", "cut", "stall", "503", "cut"]
        assert one.source(0) == Path(build_samples("sample").source(0)).read_bytes()
        assert state.faults == []
    state.faults = ["cut", "503"]
    require_same(read("list", address, train_list="train.csv"), "train")


def test_shards_without_an_index_are_looked_through_once(data, server, tmp_path, monkeypatch):
    state, address = server
    monkeypatch.setattr(stores, "PART", 100_000)
    state.faults = ["503"] * 2
    require_same(read("webdataset", f"{address}/bare"), "train")
    copied = len(state.asked)
    require_same(read("webdataset", f"{address}/bare", "val"), "val")
    state.asked.clear()
    require_same(read("webdataset", f"{address}/bare"), "train")
    assert 0 < len(state.asked) < copied
    assert not any(path.endswith(".tar") for path, _ in state.asked)
    assert list((tmp_path / "cache" / "remote" / "indexes").glob("*.npz"))
    assert not list((tmp_path / "cache" / "remote" / "indexes").glob("tmp*"))


def test_a_list_of_shards_costs_a_bounded_page_and_a_bounded_number_of_questions(data, server, monkeypatch):
    _, address = server
    monkeypatch.setattr(stores, "LISTING_BYTES", 50)
    with pytest.raises(UserError, match="is larger than 50 bytes"):
        read("webdataset", f"{address}/bare")
    monkeypatch.setattr(stores, "LISTING_BYTES", 1 << 20)
    monkeypatch.setattr(stores, "SIZES", 1)
    with pytest.raises(
        UserError, match=r"/bare/ lists \d files, of more than 1\. Put the index of the shards beside them"
    ):
        read("webdataset", f"{address}/bare")
    monkeypatch.setattr(stores, "SIZES", 100)
    monkeypatch.setattr(stores, "SIZES_SECONDS", -1)
    with pytest.raises(UserError, match=r"the sizes of 0 of \d files took more than -1 s\. Put the index"):
        read("webdataset", f"{address}/bare")


def test_a_service_that_stays_away_ends_the_run_in_words(server):
    state, address = server
    samples = read("tar", f"{address}/shards", options={"retries": 2})
    state.always = "503"
    with pytest.raises(UserError, match=r"could not be read in 3 attempts, the last time: the server answers 503"):
        samples.source(0)
    state.always = "whole"
    with pytest.raises(UserError, match="gives no parts of files"):
        samples.source(0)
    state.always = "403"
    with pytest.raises(BadImage, match="the server answers 403"):
        samples.source(0)
    state.always = None
    with pytest.raises(UserError, match="There are no shards for 'train'"):
        read("tar", f"{address}/nowhere")
    with pytest.raises(UserError, match="There is no list of the train images"):
        read("list", f"{address}/shards")
    with pytest.raises(
        UserError, match=r"data.multi_label=true is for a directory. At an address there can be data=fo"
    ):
        read("list", address, multi_label=True)


def test_a_server_that_sends_without_end_is_heard_no_longer_than_needed(data, server):
    state, address = server
    samples = read("tar", f"{address}/shards")
    state.always = "flood"
    with pytest.raises(UserError, match="is larger than 1,000 bytes"):
        store(address).read("classes.txt", 1000)
    with pytest.raises(UserError, match="gives no parts of files"):
        samples.source(0)
    assert state.flooded < 64 << 20  # what the sockets have room for


def test_empty_files_and_addresses_as_they_are_typed(data, server, tmp_path):
    state, address = server
    assert store(address).read("empty.jpg", 10) == b""
    state.root = tmp_path
    shutil.copytree(data / "shards", tmp_path / "我的 照片 (1)" / "shards")
    for typed in ("我的 照片 (1)", quote("我的 照片 (1)")):
        require_same(read("tar", f"{address}/{typed}/shards", "val"), "val")
    deep = "照" * 80
    (tmp_path / deep).mkdir()
    (tmp_path / deep / "list.txt").write_text("1.jpg 0\n")
    assert store(f"{address}/{deep}").local("list.txt", 100).read_text() == "1.jpg 0\n"


def test_a_list_for_validation_needs_no_other_where_the_classes_are_counted(data, server, tmp_path):
    state, address = server
    state.root = tmp_path
    shutil.copy(data / "val_list.txt", tmp_path)
    assert len(read("list", address, "val", num_classes=5)) == 36
    with pytest.raises(UserError, match="There is no list of the train images"):
        read("list", address, "val")


def test_a_file_that_is_not_there_is_a_bad_image(data, server, tmp_path):
    _, address = server
    (tmp_path / "list.txt").write_text("nowhere.jpg 0\n" + (data / "train_list.txt").read_text())
    samples = read("list", address, train_list=str(tmp_path / "list.txt"))
    with pytest.raises(BadImage, match=r"nowhere\.jpg"):
        samples.source(0)
    assert samples.is_there()


def test_a_shard_that_has_changed_is_refused(data, server, tmp_path):
    state, address = server
    samples = read("tar", f"{address}/shards")
    state.root = tmp_path
    shutil.copytree(data / "shards", tmp_path / "shards")
    with (tmp_path / "shards" / "train" / "00000.tar").open("ab") as shard:
        shard.write(b"more")
    with pytest.raises(BadImage, match="has changed since it was indexed"):
        samples.source(0)


def test_nothing_is_fetched_but_what_is_wanted_and_that_once(data, server):
    state, address = server
    samples = read("tar", f"{address}/shards")
    state.asked.clear()
    share = range(0, len(samples), 2)
    for index in share:
        samples.source(index)
    parts = [part for _, part in state.asked]
    assert len(parts) == len(share)
    assert all(parts)
    fetched = sum(int(end) - int(start) + 1 for start, end in (part[6:].split("-") for part in parts))
    assert fetched == sum(int(samples.sizes[index]) for index in share)
    copy = pickle.loads(pickle.dumps(samples))
    assert [copy.source(index) for index in share] == [samples.source(index) for index in share]
    assert len(state.asked) == len(share)


def test_the_cache_stays_within_its_bound(data, server, tmp_path):
    samples = read("tar", f"{server[1]}/shards", options={"cache_bytes": 600_000})
    for _ in range(2):
        require_same(samples, "train")
    kept = [path for path in (tmp_path / "cache" / "remote").glob("??/*") if not path.name.startswith(".")]
    assert 0 < sum(path.stat().st_size for path in kept) <= 600_000
    nothing = read("tar", f"{server[1]}/shards", "val", options={"cache_bytes": 0})
    require_same(nothing, "val")


def test_workers_fetch_the_batches_that_a_directory_gives(server):
    transform, batches = train_transform(32), []
    for samples in (build_samples("sample"), read("tar", f"{server[1]}/shards")):
        dataset = ImageDataset(samples, transform, seed=3)
        loader = build_loader(dataset, EpochSampler(len(samples), 16, shuffle=True, seed=1), num_workers=2)
        batches.append([[tensor.numpy() for tensor in batch] for batch in loader])
    for remote, local in zip(*batches, strict=True):
        for one, other in zip(remote, local, strict=True):
            assert (one == other).all()


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("file:///etc", "data comes from s3://"),
        ("simplecache::http://x", "data comes from s3://"),
        ("https://me:secret@there/data", "holds a password"),
    ],
)
def test_other_addresses_are_refused(root, words):
    with pytest.raises(UserError, match=words) as caught:
        store(root)
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def bucket(data):
    """A real S3-compatible server that has the shards in a bucket."""
    pytest.importorskip("s3fs")
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("moto_server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
        }.items():
            patch.setenv(key, value)
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            import s3fs

            files = s3fs.S3FileSystem(skip_instance_cache=True)
            files.mkdir("photos")
            files.put(str(data), "photos/of mine", recursive=True)
            yield "s3://photos/of mine"
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_bucket_is_the_directory(data, bucket, split):
    require_equal(read("folder", bucket, split), build_samples("folder", root=str(data), split=split))
    require_same(read("list", bucket, split, class_map=data / "classes.txt"), split)
    require_same(read("tar", f"{bucket}/shards", split), split)
    require_same(read("webdataset", f"{bucket}/bare", split), split)
    if find_spec("pyarrow") is not None:
        for kind in ("parquet", "arrow"):
            require_same(read("huggingface", f"{bucket}/rows/{kind}", split), split)
    assert store(bucket).read("empty.jpg", 10) == b""  # of which S3 has no part
    with pytest.raises(UserError, match=f"There are no shards for '{split}'"):
        read("tar", f"{bucket}/nowhere", split)


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_bucket_without_its_package_names_the_extra():
    with pytest.raises(UserError, match=r'pip install "imgcls\[remote\]"'):
        read("tar", "s3://photos/shards")


@pytest.mark.full
@pytest.mark.parametrize(("format", "below"), [("tar", "shards"), ("huggingface", "rows/parquet")])
def test_two_ranks_have_the_bits_of_two_with_a_directory(data, server, tmp_path, format, below):
    server[0].faults = ["503", "cut"] * 2
    words = [
        f"data={format}",
        "model=mobilenetv1_x0_25",
        "transform.size=32",
        "trainer.epochs=1",
        "trainer.num_workers=1",
    ]
    words += ["trainer.batch_size=8", "trainer.processes=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, root in (("local", data / below), ("remote", f"{server[1]}/{below}")):
        command = [sys.executable, "-m", "imgcls.train", *words, f"data.root={root}", f"run.name={name}"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=600)
    weights = [tmp_path / "outputs" / name / "checkpoints/last/network.pdparams" for name in ("local", "remote")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert server[0].faults == []
