"""Downloads from servers that send too much, too slowly, elsewhere, or something else; real ones, on loopback."""

import hashlib
import http.server
import io
import itertools
import os
import threading
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.models import registry
from imgcls.models.__main__ import main
from imgcls.models.registry import model_info, register_model
from imgcls.weights import transfer
from imgcls.weights.download import fetch
from imgcls.weights.fluid.record import encode
from imgcls.weights.load import load_pretrained
from imgcls.weights.transfer import DownloadFailed, without_secrets

NAME = "Net_pretrained.tar"
SECRETS = ("hush", "token", "alice")


def member(name, content):
    import tarfile

    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


RECORD = encode(np.random.RandomState(0).randn(1 << 18).astype(np.float32), "")  # 1 MB
MEMBERS = member("net/fc", RECORD) + member("net/conv", RECORD)
TAR = MEMBERS + bytes(1024)
DIGEST = hashlib.sha256(TAR).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers with ``answer(handler)``; ``seen`` holds path and login of every request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = lambda handler: send(handler, TAR)
        self.seen = []
        self.ended = threading.Event()

    def handle_error(self, *arguments):
        pass  # clients that hang up are part of the tests

    def url(self, path=f"/{NAME}", login="", host="127.0.0.1"):
        return f"http://{login}{host}:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.server.answer(self)

    def log_message(self, *arguments):
        pass


def send(handler, body, status=200, length=True, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def trickle(handler, content):
    """One byte after the other, often enough for a socket never to time out."""
    for byte in content:
        handler.wfile.write(bytes([byte]))
        if handler.server.ended.wait(0.02):
            return


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)
    monkeypatch.delenv("IMGCLS_WEIGHTS_URL", raising=False)
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


def contents(directory):
    return {path.name for path in directory.iterdir()} - {f"{NAME}.lock"}


@pytest.mark.parametrize("length", [True, False])
def test_more_than_the_bound_is_thrown_away(server, tmp_path, monkeypatch, length):
    monkeypatch.setattr(transfer, "WEIGHTS_BYTES", 1 << 20)
    server.answer = lambda handler: send(handler, TAR, length=length)
    with pytest.raises(UserError, match="it is more than 0 GiB, and was thrown away"):
        fetch(server.url(), tmp_path)
    assert contents(tmp_path) <= {f"{NAME}.part.version"}


def endless_header(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    trickle(handler, itertools.repeat(ord("x")))


def endless_continue(handler):
    trickle(handler, itertools.cycle(b"HTTP/1.1 100 Continue\r\n\r\n"))


def endless_chunk_size(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    trickle(handler, itertools.repeat(ord("0")))


def slow_body(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    trickle(handler, TAR)


@pytest.mark.parametrize("answer", [endless_header, endless_continue, endless_chunk_size, slow_body])
def test_a_server_that_trickles_is_hung_up_on(server, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(transfer, "WINDOW", 0.2)
    server.answer = answer
    with pytest.raises(UserError, match=r"sent less than 1,024 bytes a second for 0\.2 seconds"):
        fetch(server.url(), tmp_path)
    assert len(server.seen) == transfer.ATTEMPTS


def test_a_download_ends_in_its_time(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "LONGEST", 0.3)
    server.answer = slow_body
    with pytest.raises(UserError, match=r"it took more than .* what was fetched so far is kept"):
        fetch(server.url(), tmp_path)
    assert (tmp_path / f"{NAME}.part").stat().st_size > 0


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/y", "x:token"])
def test_a_redirect_to_another_scheme_is_refused(server, tmp_path, target):
    server.answer = lambda handler: send(handler, b"", 302, Location=target)
    with pytest.raises(UserError, match=r"would have it fetched over \w+ instead of http"):
        fetch(server.url(), tmp_path)
    assert contents(tmp_path) == set()


def test_a_redirect_from_https_to_http_is_refused():
    request, answer = urllib.request.Request("https://host/x"), io.BytesIO(b"body")
    with pytest.raises(DownloadFailed, match="over http instead of https"):
        transfer._Redirects().http_error_302(request, answer, 302, "Found", {"Location": "http://host/x?token=1"})
    assert answer.closed


def test_redirects_end_and_their_bodies_are_not_read(server, tmp_path):
    def endless(handler):
        handler.wfile.write(f"HTTP/1.1 302 Found\r\nLocation: /{len(server.seen)}.tar\r\n\r\n".encode())
        while not server.ended.is_set():
            handler.wfile.write(bytes(1 << 16))

    server.answer = endless
    with pytest.raises(UserError, match="sent us on 10 times"):
        fetch(server.url(), tmp_path)
    assert len(server.seen) == 11


def test_a_login_goes_to_its_host_alone(server, tmp_path):
    def elsewhere(handler):
        if handler.path.startswith("/other"):
            send(handler, TAR)
        else:
            send(handler, b"", 302, Location=server.url("/other.tar", host="localhost"))

    server.answer = elsewhere
    assert fetch(server.url(login="alice:hush@"), tmp_path).read_bytes() == TAR
    assert server.seen == [(f"/{NAME}", "Basic YWxpY2U6aHVzaA=="), ("/other.tar", None)]


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: send(handler, b"", 404),
        lambda handler: send(handler, b"<html>"),
        lambda handler: send(handler, b"", 302, Location="file:///token"),
        lambda handler: send(handler, b"", 302, Location="http://127.0.0.1:hush/token"),
        lambda handler: send(handler, b"", 302, Location="http://[hush/token"),
        lambda handler: send(handler, b"", 302, Location="/a b\x7ftoken"),
        lambda handler: handler.wfile.write(b"token hush"),
        lambda handler: None,
        lambda handler: send(handler, TAR),
    ],
)
def test_no_message_holds_a_secret(server, tmp_path, answer, caplog):
    server.answer = answer
    url = server.url(f"/{NAME}?token=hush", "alice:hush@")
    caplog.set_level("DEBUG")
    with pytest.raises(UserError) as raised:
        fetch(url, tmp_path, pinned="0" * 64)
    told = str(raised.value) + caplog.text
    assert server.url() in told
    if answer is not None:
        assert not any(secret in told for secret in ("alice", "hush@", "token=")), told


def test_addresses_without_their_secrets():
    assert without_secrets("https://alice:hush@host:1/a/b.tar?token=1#hush") == "https://host:1/a/b.tar"
    assert without_secrets("https://[hush") == "the address"
    assert "\x1b" not in without_secrets("https://host/\x1b[2J")


@pytest.mark.parametrize("url", ["http://host/", "http://host/a/..", "http://host", "ftp://host/x.tar", "/etc/passwd"])
def test_what_is_no_address(url, tmp_path, monkeypatch):
    monkeypatch.delenv("IMGCLS_WEIGHTS_URL", raising=False)
    with pytest.raises(UserError, match=r"is no address|over http or https"):
        fetch(url, tmp_path)
    assert contents(tmp_path) == set()


@pytest.mark.parametrize("suffix", [".part", ".part.version"])
@pytest.mark.parametrize("make", [lambda path, victim: path.symlink_to(victim), lambda path, victim: os.mkfifo(path)])
def test_nothing_is_written_through_a_link(server, tmp_path, suffix, make):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    cache = tmp_path / "cache"
    cache.mkdir()
    make(cache / f"{NAME}{suffix}", victim)
    with pytest.raises(UserError, match="is a link or no file: nothing is downloaded through it"):
        fetch(server.url(), cache)
    assert victim.read_text() == "mine"


def test_a_lock_that_is_a_link_or_a_directory(server, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"{NAME}.lock").symlink_to(victim)
    with pytest.raises(UserError, match="Cannot use the cache"):
        fetch(server.url(), tmp_path)
    assert victim.read_text() == "mine"
    (tmp_path / f"{NAME}.lock").unlink()
    (tmp_path / f"{NAME}.lock").mkdir()
    with pytest.raises(UserError, match="Cannot use the cache"):
        fetch(server.url(), tmp_path)


@pytest.mark.parametrize(
    "body",
    [MEMBERS, MEMBERS[: len(MEMBERS) // 2], TAR[: len(MEMBERS) + 512 - 1], member("net/fc", RECORD[:-1]) + bytes(1024)],
    ids=["without an end", "cut between two members", "cut in the end", "a variable cut short"],
)
def test_a_tar_is_read_to_its_end_before_it_is_kept(server, tmp_path, body):
    server.answer = lambda handler: send(handler, body)
    with pytest.raises(UserError, match="gave something other than weights, which was thrown away"):
        fetch(server.url(), tmp_path)
    assert contents(tmp_path) == set()


ODD = {
    "a status of many digits": b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
    "a length of many digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length of 2**62": b"HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx",
    "a range of many digits": b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-1/" + b"9" * 5000 + b"\r\n\r\nx",
    "a range of another part": b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-6/7\r\n\r\nx",
    "a mark of two lines": b'HTTP/1.1 200 OK\r\nETag: "a\r\n b"\r\nContent-Length: 9\r\n\r\nx',
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "a header of a megabyte": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10**6 + b"\r\n\r\n",
    "escapes": b"HTTP/1.1 404 \x1b[2J\x1b]0;hush\x07\r\n\r\n",
    "a chunk of exabytes": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "a chunk that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
    "nowhere": b"HTTP/1.1 302 Found\r\n\r\n",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answers_are_one_message(server, tmp_path, name):
    server.answer = lambda handler: handler.wfile.write(ODD[name])
    with pytest.raises(UserError) as raised:
        fetch(server.url(), tmp_path)
    assert len(str(raised.value)) < 600
    assert "\x1b" not in str(raised.value)


def test_a_pinned_file_is_that_file(server, tmp_path):
    with pytest.raises(UserError, match=r"is not the file that was published \(sha256 .*thrown away"):
        fetch(server.url(), tmp_path, pinned="0" * 64)
    assert contents(tmp_path) == set()
    path = fetch(server.url(), tmp_path, pinned=DIGEST)
    assert path.read_bytes() == TAR
    with pytest.raises(UserError, match="Delete it to have it downloaded again"):
        fetch(server.url(), tmp_path, pinned="1" * 64)
    path.write_bytes(TAR + bytes(512))
    (tmp_path / f"{NAME}.sha256").unlink()  # as if it had been put there by hand
    with pytest.raises(UserError, match="is not the file that was published"):
        fetch(server.url(), tmp_path, pinned=DIGEST)


def test_what_the_catalogue_pins_is_checked_and_shown(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_own", {})
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    build = registry.build_model
    options = {"build": lambda num_classes: build("squeezenet1_1", num_classes), "weights_url": server.url()}
    register_model("unpinned", **options)
    register_model("pinned_net", **options, weights_sha256="0" * 64)
    with pytest.raises(UserError, match="weights_sha256='short' is no sha256"):
        register_model("other", **options, weights_sha256="short")
    with pytest.raises(UserError, match="is not the file that was published"):
        load_pretrained(SimpleNamespace(), model_info("pinned_net"), True)
    assert main(["*pinned*"]) == 0
    rows = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines() if " own " in line}
    assert rows == {"pinned_net": "pinned", "unpinned": "url"}
