"""What strangers send to ``scripts/clients/service``: real HTTP on the loopback, to a process without imgcls."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from bombs import chunk, png, saved, scans
from locations import ROOT
from PIL import Image

import imgcls
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import FILE, Contract
from imgcls.deploy.exporter import export
from imgcls.machine.cpu import inherited_environment

CLIENTS = ROOT / "scripts" / "clients"
CAT = ROOT / "imgcls" / "assets" / "sample_photos" / "val" / "land_animal" / "tabby_cat.jpg"
SLOW = scans(500, (4400, 4400))
"""Within all limits, and seconds of a processor's time."""

PATIENCE = 120
"""Seconds after which a test gives up; nothing is measured by it."""


def contract(**values) -> Contract:
    seen = Preprocessing.of_model(imgcls.model_info("squeezenet1_1"))
    defaults = {"model": "squeezenet1_1", "input": "float", "preprocessing": seen, "output": "logits"}
    return Contract(**{**defaults, "class_names": default_class_names(1000), **values})


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("我的 exports") / "whole"
    source = "/home/somebody/secret/runs/first/model.pdparams"
    export(imgcls.create_model("squeezenet1_1", pretrained=True), contract(source=source), directory)
    return directory


LIGHT = ("--engine", "openvino") if find_spec("openvino") else ()
"""For what has nothing to do with the engine: one that starts without loading Paddle."""


@contextmanager
def serve(directory: Path, log: Path, *options: object):
    """A running service: its process, its port, and a client."""
    command = [sys.executable, "-I", str(CLIENTS / "without_imgcls.py"), str(CLIENTS / "service"), str(directory)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", "0", *map(str, options)],
            cwd=log.parent,
            env=inherited_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or "running on" in log.read_text())
        port = int(re.search(r"running on http://[\d.]+:(\d+)", log.read_text())[1])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield process, port, client
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


def wait_until(happened) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def decoders(process: subprocess.Popen) -> set[int]:
    """Processes that decode for the service."""
    children = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return {pid for pid in children if "pictures.py" in command(pid)}


def command(pid: int) -> str:
    """Of a process; nothing of one that has just ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def send(port: int, head: str, body: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def begin(port: int, content: bytes, missing: int = 0) -> socket.socket:
    """A picture on its way."""
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(content)}"
    return send(port, head, content[: len(content) - missing])


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes: a head and its body may come in two pieces."""
    with connection:
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


@pytest.fixture(scope="module")
def service(served, tmp_path_factory):
    limits = ("--threads", 2, "--max-decode", 60, "--timeout", 60, "--max-pictures", 6)
    with serve(served, tmp_path_factory.mktemp("service") / "log", *limits) as running:
        yield running


def test_a_bomb_is_refused_and_the_others_are_answered(service):
    process, _, client = service
    before = decoders(process)
    answer = client.post("/predict", content=scans(3000, (1000, 1000)))
    assert answer.status_code == 413
    assert answer.json()["error"].startswith("The picture would take too long to decode: it has 3,000 scans")
    answer = client.post("/predict", files={"a": ("我.png", png(*[chunk(b"teSt")] * 11_000))})
    assert (answer.status_code, answer.json()["error"][:32]) == (413, "我.png would take too long to dec")
    assert decoders(process) == before


def test_what_passes_all_limits_and_takes_long_is_ended_with_its_process(served, tmp_path):
    options = ("--threads", 2, "--max-decode", 1, "--timeout", PATIENCE)
    with serve(served, tmp_path / "log", *options, *LIGHT) as (process, port, client):
        before = decoders(process)
        slow = begin(port, SLOW)
        assert client.get("/healthz").status_code == 200
        answer = received(slow)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"The picture takes more than 1 s to decode." in answer
        wait_until(lambda: len(decoders(process)) == 2 and len(decoders(process) & before) == 1)
        wait_until(lambda: client.post("/predict", content=CAT.read_bytes()).status_code == 200)


def test_a_client_that_hangs_up_ends_the_work_on_its_picture(served, tmp_path):
    with serve(served, tmp_path / "log", "--threads", 1, "--max-decode", 3600, "--timeout", 3600, *LIGHT) as running:
        process, port, client = running
        (before,) = decoders(process)
        client.get("/healthz")
        slow = begin(port, SLOW)
        used = processor_time(before)
        wait_until(lambda: processor_time(before) > used)
        slow.close()
        wait_until(lambda: before not in decoders(process))
        assert client.post("/predict", content=CAT.read_bytes()).status_code == 200


def processor_time(pid: int) -> int:
    """In ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_a_decoder_that_dies_is_replaced(service):
    process, _, client = service
    for pid in decoders(process):
        os.kill(pid, signal.SIGKILL)
    statuses = [client.post("/predict", content=CAT.read_bytes()).status_code for _ in range(6)]
    assert set(statuses) <= {200, 415}
    assert statuses[-1] == 200


def test_health_tells_of_a_full_service(service):
    _, port, client = service
    content = CAT.read_bytes()
    pending = [begin(port, content, missing=1) for _ in range(6)]
    wait_until(lambda: client.get("/healthz").status_code == 503)
    assert client.get("/healthz").json() == {"status": "no room for more pictures"}
    for connection in pending:
        connection.close()
    wait_until(lambda: client.get("/healthz").status_code == 200)


def of_slow_network(directory: Path) -> Path:
    """An export whose network multiplies for minutes where a picture is black, and not at all elsewhere."""
    import paddle

    class Slow(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.head = paddle.nn.Linear(3, 10)

        def forward(self, images):
            seen = images.mean([2, 3])
            size = 1 + 3999 * paddle.cast(seen.max() < -1, "int32")  # for black only; at the start it is white
            large = product = paddle.ones([1, 1]).expand([size, size])
            for _ in range(40):
                product = paddle.matmul(product, large)
            return self.head(seen) + 0 * product.max()

    names = tuple("abcdefghij")
    export(Slow(), contract(class_names=names), directory)
    return directory


@pytest.fixture(scope="module")
def stuck(tmp_path_factory) -> Path:
    return of_slow_network(tmp_path_factory.mktemp("stuck") / "export")


def test_health_tells_of_a_network_that_does_not_answer_and_sigterm_ends_it(stuck, tmp_path):
    Image.new("RGB", (64, 64)).save(file := io.BytesIO(), "PNG")
    black = file.getvalue()
    with serve(stuck, tmp_path / "log", "--timeout", 2, "--max-batch", 1, "--threads", 1) as (process, _, client):
        assert client.post("/predict", content=saved("PNG", (64, 64), "RGB")).status_code == 200
        answer = client.post("/predict", content=black)
        assert (answer.status_code, answer.json()) == (503, {"error": "The time is up."})
        wait_until(lambda: client.get("/healthz").status_code == 503)
        assert client.get("/healthz").json() == {"status": "the network does not answer"}
        children = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        children = {*children, *decoders(process)}  # beside PaddlePaddle 3, what computes is one of them
        process.terminate()
        assert process.wait(PATIENCE) == 0
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def test_sigterm_ends_it_whatever_is_decoded(served, tmp_path):
    options = ("--threads", 1, "--max-decode", 3600, "--timeout", 1)
    with serve(served, tmp_path / "log", *options, *LIGHT) as (process, port, client):
        client.get("/healthz")
        (decoder,) = decoders(process)
        used = processor_time(decoder)
        slow = begin(port, SLOW)
        wait_until(lambda: processor_time(decoder) > used or decoder not in decoders(process))
        process.terminate()
        assert process.wait(PATIENCE) == 0
        slow.close()
        wait_until(lambda: not Path(f"/proc/{decoder}").exists())


@pytest.fixture(scope="module")
def without_numbers(tmp_path_factory) -> Path:
    network = imgcls.create_model("squeezenet1_1", num_classes=3)
    parameter = network.parameters()[-1]
    parameter.set_value(np.full(parameter.shape, np.inf, np.float32))
    directory = tmp_path_factory.mktemp("nan") / "export"
    export(network, contract(class_names=("a", "b", "c")), directory)
    return directory


def test_scores_that_are_no_numbers(without_numbers, run_program, tmp_path):
    with serve(without_numbers, tmp_path / "log", "--max-batch", 1) as (_, _, client):
        answer = client.post("/predict", files={"a": ("my photo.jpg", CAT.read_bytes())})
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("The network's answer to my photo.jpg is no number")
    words = (f"predict.source={without_numbers}", f"predict.input={CAT}", "run.name=told")
    result = run_program("predict", *words, cwd=tmp_path, check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert f"{CAT}: the network's answer is no number" in result.stderr
    written = tmp_path / "outputs" / "told" / "predictions.jsonl"
    assert all(json.loads(line, parse_constant=pytest.fail) for line in written.read_text().splitlines())


CHARSETS = ["utf-7", "undefined", "idna", "punycode", '"rot13"', "utf-16", "hex", "unicode_escape", "''"]


def form(kind: str, name: bytes = b"cat.jpg") -> tuple[bytes, dict[str, str]]:
    """A form of one picture and the header that comes with it."""
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="' + name + b'"\r\n\r\n'
    return head + CAT.read_bytes() + b"\r\n--x--\r\n", {"Content-Type": f"multipart/form-data; {kind}"}


@pytest.mark.parametrize("charset", CHARSETS)
def test_charsets_of_forms(charset, service):
    client = service[2]
    for kind in (f"boundary=x; charset={charset}", f"charset*=utf-8''{charset}; boundary=x"):
        content, headers = form(kind, b"+2AA-.jpg")
        answer = client.post("/predict", content=content, headers=headers)
        assert (answer.status_code, "UTF-8" in answer.json()["error"]) == (400, True), kind


def test_names_of_files(service):
    client = service[2]
    for name in (b"\xff\xfe.jpg", b"\xed\xa0\x80.jpg", b"../../etc/passwd", b"a\x00b", b"<b>", b"\\", b""):
        content, headers = form("boundary=x; charset=utf-8", name)
        answer = client.post("/predict", content=content, headers=headers)
        assert answer.status_code in (200, 400), name
        answer.content.decode("utf-8")
    content, headers = form("boundary=x", "我的照片 (1).jpg".encode())
    told = client.post("/predict", content=content, headers=headers).json()["predictions"][0]
    assert told["file"] == "我的照片 (1).jpg"


def test_every_answer_says_what_it_is(service):
    client = service[2]
    for answer in (
        client.get("/"),
        client.get("/model"),
        client.get("/healthz"),
        client.get("/nowhere"),
        client.post("/predict", content=b"no picture"),
        client.post("/predict", content=bytes(17 << 20)),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_model_page_names_no_place_on_this_machine(service, served):
    told = service[2].get("/model").json()
    assert told["source"] == "model.pdparams"
    assert "/home/somebody" in (served / FILE).read_text()
    assert told == yaml.safe_load((served / FILE).read_text(encoding="utf-8")) | {"source": "model.pdparams"}


def test_half_closed_clients(service):
    _, port, client = service
    content = CAT.read_bytes()
    for missing in (0, 1, len(content)):
        connection = begin(port, content, missing)
        connection.shutdown(socket.SHUT_WR)
        answer = received(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    wait_until(lambda: client.get("/healthz").status_code == 200)
    files = [("photos", content)] * 6
    wait_until(lambda: client.post("/predict", files=files).status_code == 200)  # every place is free again


def test_memory_of_large_pictures_returns(service):
    process, _, client = service
    large = saved("PNG", (6000, 6000), "RGBA")

    def resident() -> int:
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in [process.pid, *decoders(process)]]
        return sum(int(size) for text in texts for size in re.findall(r"VmRSS:\s+(\d+)", text)) // 1024

    client.post("/predict", content=CAT.read_bytes())
    before = resident()
    statuses = {client.post("/predict", content=large).status_code for _ in range(3)}
    assert statuses <= {200, 413}
    wait_until(lambda: resident() < before + 200)  # of 137 MB of pixels each
