"""Downloads against a real server on loopback that misbehaves in every way a mirror can."""

import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np
import pytest
from locations import ROOT

from imgcls import create_model
from imgcls.errors import UserError
from imgcls.weights import transfer as resume
from imgcls.weights.download import fetch
from imgcls.weights.fluid import files as fluid
from imgcls.weights.fluid.record import encode

NAME = "Net_pretrained.tar"


def tar_of(arrays):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, array in arrays.items():
            member = tarfile.TarInfo(f"Net_pretrained/{name}")
            member.size = len(record := encode(array, name))
            archive.addfile(member, io.BytesIO(record))
    return buffer.getvalue()


VALUES = np.random.RandomState(0).randn(1 << 19).astype(np.float32)  # 2 MB
TAR = tar_of({"conv1_weights": VALUES, "fc_weights": np.ones(3, np.float32)})


class Mirror(http.server.ThreadingHTTPServer):
    """Serves ``body`` at any path; the attributes say how it misbehaves, ``requests`` what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = TAR
        self.status = 200
        self.ranges = True
        self.etag = '"v1"'
        self.cut_after = []  # bytes after which successive answers break off
        self.stall_after = []  # bytes after which successive answers stop sending
        self.delay = 0.0
        self.length = True
        self.requests = []
        self.released = threading.Event()

    def handle_error(self, *arguments):
        pass  # clients that hang up are part of the tests

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/models/{NAME}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mirror = self.server
        asked = self.headers.get("Range")
        mirror.requests.append(asked)
        time.sleep(mirror.delay)
        if mirror.status != 200:
            self.send_error(mirror.status)
            return
        body, start = mirror.body, 0
        if mirror.ranges and asked and self.headers.get("If-Range", mirror.etag) == mirror.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if mirror.etag:
            self.send_header("ETag", mirror.etag)
        if mirror.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if mirror.stall_after:
            self.wfile.write(rest[: mirror.stall_after.pop(0)])
            self.wfile.flush()
            mirror.released.wait(20)
        elif mirror.cut_after:
            self.wfile.write(rest[: mirror.cut_after.pop(0)])
        else:
            self.wfile.write(rest)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(resume, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("IMGCLS_WEIGHTS_URL", raising=False)
    server = Mirror()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def contents(directory):
    return {path.name for path in directory.iterdir()}


DONE = {NAME, f"{NAME}.sha256", f"{NAME}.lock"}


def test_fetched_once_and_checked_ever_after(mirror, tmp_path):
    path = fetch(mirror.url, tmp_path / "cache")
    assert path.read_bytes() == TAR
    assert contents(path.parent) == DONE
    assert np.array_equal(fluid.read_tar(path)["conv1_weights"], VALUES)
    recorded = (path.parent / f"{NAME}.sha256").read_text()
    assert recorded == f"{hashlib.sha256(TAR).hexdigest()}  {NAME}\n"
    assert fetch(mirror.url, tmp_path / "cache") == path
    assert mirror.requests == [None]
    path.write_bytes(TAR[:-1] + b"x")
    with pytest.raises(UserError, match=r"has changed since it was first used .* Delete it"):
        fetch(mirror.url, tmp_path / "cache")
    path.unlink()
    assert fetch(mirror.url, tmp_path / "cache").read_bytes() == TAR


def test_another_file_than_the_first_time_is_thrown_away(mirror, tmp_path):
    fetch(mirror.url, tmp_path).unlink()
    mirror.body = tar_of({"conv1_weights": -VALUES})
    with pytest.raises(UserError, match="not the file it was when it was first downloaded"):
        fetch(mirror.url, tmp_path)
    assert contents(tmp_path) == DONE - {NAME}


@pytest.mark.parametrize("etag", ['"v1"', None, 'W/"weak"'])
def test_a_cut_connection_is_resumed(mirror, tmp_path, etag):
    mirror.etag = etag
    mirror.cut_after = [300_000, 0, 700_000]
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert mirror.requests == [None, "bytes=300000-", "bytes=300000-", "bytes=1000000-"]
    assert contents(tmp_path) == DONE


def test_a_later_process_goes_on_where_the_first_gave_up(mirror, tmp_path):
    mirror.cut_after = [1_000_000] + [0] * resume.ATTEMPTS
    with pytest.raises(UserError, match="the connection was cut after 1,000,000 bytes"):
        fetch(mirror.url, tmp_path)
    assert (tmp_path / f"{NAME}.part").stat().st_size == 1_000_000
    mirror.requests.clear()
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert mirror.requests == ["bytes=1000000-"]


def test_a_file_that_changed_on_the_server_is_started_over(mirror, tmp_path):
    mirror.cut_after = [1_000_000] + [0] * resume.ATTEMPTS
    with pytest.raises(UserError):
        fetch(mirror.url, tmp_path)
    mirror.body, mirror.etag = tar_of({"conv1_weights": -VALUES}), '"v2"'
    assert fetch(mirror.url, tmp_path).read_bytes() == mirror.body


def test_a_mirror_without_ranges_is_started_over(mirror, tmp_path):
    mirror.ranges = False
    mirror.cut_after = [1_500_000, 200_000]
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert mirror.requests == [None, "bytes=1500000-", "bytes=200000-"]


def test_a_whole_file_that_was_not_renamed(mirror, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(TAR)
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert mirror.requests == [f"bytes={len(TAR)}-"]
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}.part").write_bytes(TAR + b"too long")
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR


def test_a_stalled_server_times_out_and_is_asked_again(mirror, tmp_path):
    mirror.stall_after = [500_000]
    began = time.monotonic()
    assert fetch(mirror.url, tmp_path, timeout=0.5).read_bytes() == TAR
    assert time.monotonic() - began > 0.5
    assert mirror.requests == [None, "bytes=500000-"]


def test_a_server_that_never_sends_anything(mirror, tmp_path):
    mirror.stall_after = [0] * resume.ATTEMPTS
    with pytest.raises(UserError, match=r"sent nothing for 0\.2 seconds"):
        fetch(mirror.url, tmp_path, timeout=0.2)


def test_not_found_says_where_to_put_the_file_by_hand(mirror, tmp_path):
    mirror.status = 404
    with pytest.raises(UserError, match=r"the server answered 404 Not Found") as raised:
        fetch(mirror.url, tmp_path)
    assert f"put it at {tmp_path / NAME}, or set model.pretrained=" in str(raised.value)
    assert mirror.url in str(raised.value)
    assert mirror.requests == [None]


def test_a_busy_server_is_asked_again(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "FIRST_PAUSE", 0.1)
    mirror.status = 503
    threading.Timer(0.05, lambda: setattr(mirror, "status", 200)).start()
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert len(mirror.requests) > 1


def test_no_network_and_a_file_put_there_by_hand(mirror, tmp_path):
    mirror.shutdown()
    mirror.server_close()
    with pytest.raises(UserError, match=r"Connection refused.*Without a network"):
        fetch(mirror.url, tmp_path)
    (tmp_path / NAME).write_bytes(TAR)
    path = fetch(mirror.url, tmp_path)
    assert (tmp_path / f"{NAME}.sha256").exists()
    path.write_bytes(TAR + b"\0")
    with pytest.raises(UserError, match="has changed"):
        fetch(mirror.url, tmp_path)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>sign in", b"", TAR[: 1 << 20]], ids=["page", "empty", "half"])
def test_what_is_no_tar_is_thrown_away(mirror, tmp_path, body, length):
    mirror.body, mirror.length = body, length
    with pytest.raises(UserError, match="gave something other than weights, which was thrown away"):
        fetch(mirror.url, tmp_path)
    assert contents(tmp_path) == {f"{NAME}.lock"}


def test_the_cache_and_the_mirror_from_the_environment(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("IMGCLS_WEIGHTS_URL", mirror.url.removesuffix(NAME))
    path = fetch(f"https://nowhere.invalid/{NAME}")
    assert path == tmp_path / "elsewhere" / NAME
    monkeypatch.setenv("IMGCLS_WEIGHTS_URL", tmp_path.as_uri())
    with pytest.raises(UserError, match="http or https, not from 'file://"):
        fetch("https://nowhere.invalid/other.tar")


def run_fetch(mirror, cache, before=""):
    code = f"{before}\nfrom imgcls.weights.download import fetch\nprint(fetch({mirror.url!r}, {str(cache)!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_processes_at_once_fetch_once(mirror, tmp_path):
    mirror.delay = 1.0
    processes = [run_fetch(mirror, tmp_path) for _ in range(8)]
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert (process.returncode, output.strip()) == (0, str(tmp_path / NAME)), errors
    assert mirror.requests == [None]
    assert contents(tmp_path) == DONE


def test_a_killed_download_is_gone_on_with(mirror, tmp_path):
    mirror.stall_after = [1_000_000]
    process = run_fetch(mirror, tmp_path)
    part = tmp_path / f"{NAME}.part"
    deadline = time.monotonic() + 300
    while not (part.exists() and part.stat().st_size >= 900_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    held = part.stat().st_size
    assert 900_000 <= held <= 1_000_000
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR
    assert mirror.requests == [None, f"bytes={held}-"]


def test_a_full_disk_in_the_middle(mirror, tmp_path):
    """A limit on file size stands for the disk: the write fails after 1 MB."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    process = run_fetch(mirror, tmp_path, before=limit)
    _, errors = process.communicate(timeout=300)
    message = errors.strip().splitlines()[-1]
    assert "UserError: Cannot write" in message
    assert "File too large" in message
    assert "What was fetched so far is kept" in message
    assert not (tmp_path / NAME).exists()
    assert fetch(mirror.url, tmp_path).read_bytes() == TAR


def test_a_disk_that_is_too_small_is_told_before_the_download(mirror, tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs a small file system, and mounting one needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this system does not let root mount a tmpfs")
    try:
        with pytest.raises(
            UserError, match=r"Cannot write .* 2,\d{3},\d{3} bytes are to come and .* are free"
        ) as raised:
            fetch(mirror.url, tmp_path)
        assert "IMGCLS_CACHE" in str(raised.value)
        assert NAME not in contents(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_cache_that_cannot_be_made(mirror, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot use the cache"):
        fetch(mirror.url, tmp_path / "file" / "cache")


def test_pretrained_true_downloads_the_published_file(mirror, tmp_path, monkeypatch):
    network = create_model("shufflenetv2_x0_25")
    mirror.body = tar_of({tensor.name: tensor.numpy() for tensor in network.state_dict().values()})
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    monkeypatch.setenv("IMGCLS_WEIGHTS_URL", mirror.url.removesuffix(NAME))
    loaded = create_model("shufflenetv2_x0_25", pretrained=True)
    assert (tmp_path / "ShuffleNetV2_x0_25_pretrained.tar").exists()
    assert all(
        np.array_equal(tensor.numpy(), loaded.state_dict()[key].numpy()) for key, tensor in network.state_dict().items()
    )


@pytest.mark.slow
def test_the_link_that_leads_to_another_network(mirror, tmp_path, monkeypatch):
    """The original's link for ResNeXt101_64x4d is that of ResNeXt50_64x4d."""
    other = create_model("resnext50_64x4d")
    mirror.body = tar_of({tensor.name: tensor.numpy() for tensor in other.state_dict().values()})
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    monkeypatch.setenv("IMGCLS_WEIGHTS_URL", mirror.url.removesuffix(NAME))
    with pytest.raises(UserError, match="does not fit the network; nothing was loaded") as raised:
        create_model("resnext101_64x4d", pretrained=True)
    message = str(raised.value)
    assert "The published link of resnext101_64x4d leads to ResNeXt50_64x4d_pretrained.tar" in message
    assert "res4b1_branch2a_weights" in message


def test_a_model_without_published_weights():
    with pytest.raises(UserError, match="No weights were published for "):
        create_model("se_hrnet_w18_c", pretrained=True)
