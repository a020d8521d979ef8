"""``scripts/download_imagenet.sh`` against a small ImageNet on a server of this machine."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from locations import REFERENCE, ROOT

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples

USER, KEY = 'some "one"', r"k\e y'"
DEVKIT, VAL, TRAIN = "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar", "ILSVRC2012_img_train.tar"
# meta.mat numbers kit fox, English setter and tench from 1 to 3; sorted by identifier, tench is first.
FOX, SETTER, TENCH = "n02119789", "n02100735", "n01440764"
PHOTOS = sorted((SAMPLE_PHOTOS / "train").rglob("*.jpg"))[:9]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the script downloads with curl")


def tar(members, mode="w"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def archives():
    photos = [path.read_bytes() for path in PHOTOS]
    classes = {
        f"{wnid}.tar": tar({f"{wnid}_{i}.JPEG": photos[2 * k + i] for i in range(2)})
        for k, wnid in enumerate((FOX, SETTER, TENCH))
    }
    data = "ILSVRC2012_devkit_t12/data"
    kit = {
        f"{data}/meta.mat": (REFERENCE / "imagenet_devkit" / "meta.mat").read_bytes(),
        f"{data}/ILSVRC2012_validation_ground_truth.txt": b"3\n1\n3\n",
    }
    val = {f"ILSVRC2012_val_0000000{i + 1}.JPEG": photos[6 + i] for i in range(3)}
    return {DEVKIT: tar(kit, "w:gz"), VAL: tar(val), TRAIN: tar(classes)}


class Server(ThreadingHTTPServer):
    """Serves files with ranges to whoever has the credentials; cuts the first answer for names in ``cut``."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.cut = set()
        self.requests = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        asked = self.headers.get("Range")
        self.server.requests.append((name, asked))
        expected = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self.send_error(401)
            return
        content = self.server.files[name]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if name in self.server.cut:
            self.server.cut.remove(name)
            end //= 2
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server(archives()) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def download(server, tmp_path):
    def run(key=KEY, typed=""):
        digests = {name: hashlib.md5(content).hexdigest() for name, content in archives().items()}
        (tmp_path / "md5sums").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "IMAGENET_URL": f"http://127.0.0.1:{server.server_port}/2012",
            "IMAGENET_MD5SUMS": str(tmp_path / "md5sums"),
            "no_proxy": "127.0.0.1",
        }
        if not typed:
            environment |= {"IMAGENET_USERNAME": USER, "IMAGENET_ACCESS_KEY": key}
        command = ["bash", str(ROOT / "scripts" / "download_imagenet.sh"), str(tmp_path / "imagenet")]
        return subprocess.run(command, env=environment, input=typed, capture_output=True, text=True, timeout=300)

    return run


def test_from_nothing_to_lists_and_folders(server, download, tmp_path):
    result = download(typed=f"{USER}\n{KEY}\n")
    assert result.returncode == 0, result.stdout + result.stderr
    root = tmp_path / "imagenet"
    assert KEY not in result.stdout + result.stderr
    for form in ("list", "folder"):
        train, val = (build_samples(form, root, split=split) for split in ("train", "val"))
        assert train.class_counts().tolist() == [2, 2, 2]
        assert val.labels.tolist() == [0, 0, 2]
        assert [os.path.basename(val.path(i))[15:23] for i in range(3)] == ["00000001", "00000003", "00000002"]
    content = [PHOTOS[i].read_bytes() for i in (6, 8, 7)]
    assert [open(val.source(i), "rb").read() for i in range(3)] == content  # noqa: SIM115
    assert (root / "classes.txt").read_text() == f"0 {TENCH}\n1 {SETTER}\n2 {FOX}\n"


def test_a_broken_download_goes_on_where_it_was(server, download, tmp_path):
    server.cut = {TRAIN}
    result = download()
    assert result.returncode == 1
    assert "Start again to go on where this ended" in result.stderr
    half = (tmp_path / "imagenet" / f"{TRAIN}.part").stat().st_size
    assert 0 < half < len(server.files[TRAIN])
    server.requests.clear()
    assert download().returncode == 0
    assert server.requests == [(TRAIN, f"bytes={half}-")]


def test_a_second_start_repeats_nothing_that_is_done(server, download, tmp_path):
    assert download().returncode == 0
    root = tmp_path / "imagenet"
    shutil.rmtree(root / "train" / SETTER)
    (root / TRAIN).rename(root / f"{TRAIN}.part")  # stopped before it was verified
    server.requests.clear()
    result = download()
    assert result.returncode == 0, result.stderr
    assert server.requests == [(TRAIN, f"bytes={len(server.files[TRAIN])}-")]
    assert [line for line in result.stdout.splitlines() if "Unpacking" in line] == [f"Unpacking train/{SETTER}"]
    assert len(build_samples("folder", root)) == 6


def test_a_wrong_file_is_removed(server, download, tmp_path):
    server.files[VAL] += b"more"
    result = download()
    assert result.returncode == 1
    assert f"{VAL} has not the right md5sum" in result.stderr
    assert os.listdir(tmp_path / "imagenet") == [DEVKIT]


def test_wrong_credentials_are_said(server, download, tmp_path):
    result = download(key="wrong")
    assert result.returncode == 1
    assert "refuses this user name and access key (HTTP 401)" in result.stderr
    assert len(server.requests) == 1
    assert os.listdir(tmp_path / "imagenet") == []


def test_where_nobody_can_be_asked_it_says_how_to_give_them(download):
    result = download(typed="\n")  # the input ends before a key
    assert result.returncode == 1
    assert "error: Both are needed. They can be given as IMAGENET_USERNAME and IMAGENET_ACCESS_KEY." in result.stderr
