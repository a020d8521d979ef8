"""``scripts/clients/service`` over real HTTP on the loopback, as its own process that cannot import imgcls."""

import asyncio
import base64
import importlib.util
import io
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from chromium import chromium
from locations import ROOT
from paddles import PROGRAM
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.pictures.decode import MAX_PIXELS
from imgcls.deploy.contract import FILE
from imgcls.deploy.predictor import open_export, top_classes
from imgcls.deploy.reader import ImageReader
from imgcls.machine.cpu import inherited_environment

CLIENTS = ROOT / "scripts" / "clients"
SERVICE = CLIENTS / "service"
CAT = SAMPLE_PHOTOS / "val" / "land_animal" / "tabby_cat.jpg"
TABBY = "tabby, tabby cat"
CONNECTIONS = 50


class Service:
    """A running service, with a client that keeps its connection."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self.process = process
        self.log = log
        self.port = self._await_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def _await_port(self, seconds: float = 120) -> int:
        deadline = time.monotonic() + seconds
        while not (found := re.search(r"running on http://[\d.]+:(\d+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return int(found[1])

    def predict(self, content: bytes | None = None, **options) -> httpx.Response:
        return self.client.post("/predict", content=content, **options)

    def begin(self, content: bytes, missing: int = 0) -> socket.socket:
        """Send a picture that has been let in by now, but for the ``missing`` last bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        length = f"Content-Length: {len(content)}\r\nExpect: 100-continue"
        connection.sendall(f"POST /predict?topk=1 HTTP/1.1\r\nHost: here\r\n{length}\r\n\r\n".encode())
        assert b" 100 Continue" in connection.recv(1 << 16)
        connection.sendall(content[: len(content) - missing])
        return connection

    def resident_megabytes(self) -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024


def command(directory: Path, *options: object) -> list[str]:
    """That starts a service, in isolated mode."""
    return [sys.executable, "-I", str(CLIENTS / "without_imgcls.py"), str(SERVICE), str(directory), *map(str, options)]


LIGHT = ("--engine", "openvino") if find_spec("openvino") else ()
"""For what has nothing to do with the engine: one that starts without loading Paddle."""


@contextmanager
def serve(directory: Path, log: Path, *options: object):
    with log.open("w") as output:
        process = subprocess.Popen(
            command(directory, "--port", 0, *options),
            cwd=log.parent,
            env=inherited_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Service(process, log)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


def status_of(connection: socket.socket) -> int:
    """Of the response; the connection is closed."""
    with connection:
        return int(connection.recv(1 << 16).split()[1])


@pytest.fixture(scope="module")
def service(exports, tmp_path_factory):
    with serve(exports["float"], tmp_path_factory.mktemp("service") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def strict(exports, tmp_path_factory):
    """Small limits, batches of up to three that are waited for; probabilities of a uint8 graph."""
    limits = {"batch": 3, "wait": 1000, "pictures": 4, "bytes": 100_000, "pixels": 200_000}
    options = [text for name, value in limits.items() for text in (f"--max-{name}", value)]
    with serve(exports["uint8"], tmp_path_factory.mktemp("strict") / "log", *options, "--timeout", 300) as running:
        yield running


@pytest.fixture(scope="module")
def cat() -> bytes:
    return CAT.read_bytes()


@pytest.fixture(scope="module")
def expected(exports):
    """What the library says about a picture with an export."""
    predictors = {kind: open_export(directory, "inference") for kind, directory in exports.items()}

    def answers(path: Path, topk: int, kind: str = "float") -> list[dict]:
        predictor = predictors[kind]
        image = ImageReader(predictor.contract.preprocessing.transform(), MAX_PIXELS)(path)
        scores = predictor.probabilities(image[np.newaxis])[0]
        names = predictor.contract.class_names
        best = top_classes(scores[np.newaxis], topk)[0].tolist()
        return [{"class": number, "name": names[number], "score": float(scores[number])} for number in best]

    return answers


def test_the_answers_of_the_library_to_the_bit(service, photos, expected):
    for path in sorted(photos.iterdir()):
        response = service.predict(path.read_bytes(), params={"topk": 7})
        assert response.json() == {"predictions": [{"file": None, "top": expected(path, 7)}]}
    assert len(service.predict(CAT.read_bytes()).json()["predictions"][0]["top"]) == 5


def test_many_pictures_as_a_form(service, photos, expected):
    paths = [*sorted(photos.iterdir()), *sorted((SAMPLE_PHOTOS / "val" / "tool").iterdir())]
    files = [("any name", (path.name, path.read_bytes())) for path in paths]
    predictions = service.predict(files=files, data={"topk": "2"}).json()["predictions"]
    assert [prediction["file"] for prediction in predictions] == [path.name for path in paths]
    assert_close([prediction["top"] for prediction in predictions], [expected(path, 2) for path in paths])


def assert_close(found: list[list[dict]], answers: list[list[dict]]):
    """Batches of another size are added up in another order."""
    assert [[entry["class"] for entry in top] for top in found] == [[e["class"] for e in top] for top in answers]
    scores, wanted = ([entry["score"] for top in tops for entry in top] for tops in (found, answers))
    assert scores == pytest.approx(wanted, abs=1e-5)


def test_health_and_contract(service, exports):
    assert service.client.get("/healthz").json() == {"status": "ok"}
    told = service.client.get("/model").json()
    assert told == yaml.safe_load((exports["float"] / FILE).read_text(encoding="utf-8"))
    assert service.client.get("/elsewhere").json() == {"error": "Not Found"}
    assert service.client.get("/predict").status_code == 405


@pytest.mark.parametrize(
    "request_of",
    [
        {"params": {"topk": "0"}},
        {"params": {"topk": "1001"}},
        {"params": {"topk": "a few"}},
        {"params": {"topk": "9" * 5000}},
        {"content": None, "data": {"topk": "3"}, "files": {"topk": (None, "3")}},
        {"content": None, "files": [("photos", ("photo.jpg", CAT.read_bytes()))] * 65},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ],
    ids=["zero", "too many", "words", "digits", "no picture", "65 pictures", "no boundary", "no form"],
)
def test_requests_that_make_no_sense(request_of, service, cat):
    response = service.predict(**{"content": cat, **request_of})
    assert response.status_code == 400
    assert len(response.json()["error"]) > 10


def hostile() -> dict[str, bytes]:
    """Files that are no images, or no longer."""
    photo = Image.open(CAT)
    whole = {}
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000"):
        photo.save(file := io.BytesIO(), kind)
        whole[kind] = file.getvalue()
    floats = io.BytesIO()
    Image.fromarray(np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)).save(floats, "TIFF")
    huge = bytearray(whole["BMP"])
    huge[18:26] = struct.pack("<ii", 60_000, 60_000)
    flipped = bytearray(whole["PNG"])
    flipped[len(flipped) // 2] ^= 0xFF
    return {
        **{f"half a {kind}": content[: len(content) // 2] for kind, content in whole.items() if kind != "JPEG2000"},
        **{f"head of a {kind}": content[:40] for kind, content in whole.items()},
        "empty": b"",
        "text": b"hello",
        "noise": np.random.default_rng(0).bytes(5000),
        "flipped": bytes(flipped),
        "huge": bytes(huge),
        "floats": floats.getvalue(),
        "vector": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    }


def test_files_that_are_no_images(service, cat):
    for name, content in hostile().items():
        response = service.predict(files={"photo": ("odd <b>.jpg", content)})
        assert response.status_code == (413 if name == "huge" else 415), name
        assert response.json()["error"].startswith("odd <b>.jpg ")
    mixed = service.predict(files=[("photos", ("good", cat)), ("photos", ("bad", b"bad"))])
    assert (mixed.status_code, mixed.json()) == (415, {"error": "bad is not an image, or it is damaged."})


sys.path.append(str(Path(__file__).parents[1] / "data"))
from test_hostile_files import files as pillow_files  # noqa: E402, F401


@pytest.mark.full
def test_pillows_own_test_images(service, pillow_files):  # noqa: F811
    statuses = {}
    for path in pillow_files:
        statuses[path] = service.predict(path.read_bytes()).status_code
    assert set(statuses.values()) == {200, 413, 415}
    assert sum(status == 200 for status in statuses.values()) > 0.5 * len(statuses)


def test_sizes(strict, cat):
    Image.new("RGB", (500, 401)).save(large := io.BytesIO(), "PNG")
    refusal = strict.predict(large.getvalue())
    assert (refusal.status_code, refusal.json()) == (413, {"error": "The picture has more than 200,000 pixels."})
    Image.new("RGB", (500, 400)).save(fitting := io.BytesIO(), "PNG")
    assert strict.predict(fitting.getvalue()).status_code == 200
    long = cat + bytes(100_000)
    assert strict.predict(long).status_code == 413
    assert strict.predict(iter([long[:90_000], long[90_000:]])).status_code == 413  # in chunks, of no known length
    assert strict.predict(files={"photo": long}).status_code == 413
    assert strict.predict(cat + bytes(50_000)).status_code == 200


def test_pictures_of_different_requests_are_computed_together(strict, cat, expected):
    with strict.begin(cat, missing=1):  # more is to come, so pictures wait for it
        started = time.monotonic()
        assert strict.predict(cat).status_code == 200
        assert time.monotonic() - started > 0.95  # the latency bound
        connections = [strict.begin(cat) for _ in range(3)]
        assert [status_of(connection) for connection in connections] == [200] * 3
    alone = strict.predict(cat, params={"topk": 3})
    assert alone.json()["predictions"][0]["top"] == expected(CAT, 3, "uint8")


async def batches_of(batcher, images: int, admitted: int) -> None:
    """Pictures that come together while the service has let in as many as ``admitted``; an hour is not waited out."""
    with batcher.admit(admitted):
        rows = await asyncio.wait_for(asyncio.gather(*map(batcher.classify, np.arange(images))), 60)
    assert rows == list(range(images))
    batcher.worker.cancel()


@pytest.mark.parametrize(
    ("images", "admitted", "max_wait", "batches"),
    [
        pytest.param(3, 4, 3600, [3], id="a full batch waits for nobody"),
        pytest.param(1, 1, 3600, [1], id="nor does a picture that is alone"),
        pytest.param(2, 3, 0.01, [2], id="others are waited for so long"),
        pytest.param(7, 7, 0.01, [3, 3, 1], id="more than a batch are several"),
    ],
)
def test_who_waits_for_whom(images, admitted, max_wait, batches, service_module):
    sizes = []

    def network(batch):
        sizes.append(len(batch))
        return batch

    batcher = service_module("batching").Batcher(network, max_batch=3, max_wait=max_wait, max_pictures=8)
    asyncio.run(batches_of(batcher, images, admitted))
    assert sizes == batches


def test_too_many_pictures(strict, cat):
    pending = [strict.begin(cat, missing=1) for _ in range(4)]
    refusal = strict.predict(cat)
    assert (refusal.status_code, refusal.headers["retry-after"]) == (429, "1")
    assert refusal.json() == {"error": "Too many pictures are waiting. Try again."}
    health = strict.client.get("/healthz")
    assert (health.status_code, health.json()) == (503, {"status": "no room for more pictures"})
    for connection in pending:
        connection.sendall(cat[-1:])
    assert [status_of(connection) for connection in pending] == [200] * 4
    small = Image.new("RGB", (8, 8))
    small.save(file := io.BytesIO(), "PNG")
    photos = [("photos", file.getvalue())] * 4
    assert strict.predict(files=photos).status_code == 200
    with strict.begin(cat, missing=1):
        assert strict.predict(files=photos).status_code == 429
        assert strict.predict(files=photos[:3]).status_code == 200


def test_clients_that_hang_up(strict, cat):
    connections = [strict.begin(cat, missing=missing) for missing in (1, len(cat) // 2, 0, 0)]
    assert strict.predict(cat).status_code == 429
    for number, connection in enumerate(connections):
        if number % 2:  # without a farewell
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    deadline = time.monotonic() + 300
    while (status := strict.predict(files=[("photos", cat)] * 4).status_code) == 429:
        assert time.monotonic() < deadline
    assert status == 200


def test_the_time_is_up(exports, cat, tmp_path):
    with serve(exports["uint8"], tmp_path / "log", "--timeout", 1, *LIGHT) as hasty:
        hasty.client.get("/healthz")
        started = time.monotonic()
        assert status_of(hasty.begin(cat, missing=1)) == 408
        assert time.monotonic() - started > 0.8


def test_a_drain_answers_what_has_begun(exports, cat, tmp_path):
    with serve(exports["float"], tmp_path / "log", "--max-wait", 500, *LIGHT) as service:
        service.client.get("/healthz")
        idle = socket.create_connection(("127.0.0.1", service.port), timeout=120)
        upload = service.begin(cat, missing=1)
        waiting = [service.begin(cat) for _ in range(3)]
        time.sleep(0.2)
        service.process.terminate()
        time.sleep(0.2)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{service.port}/healthz")
        assert idle.recv(1) == b""
        assert [status_of(connection) for connection in waiting] == [200] * 3
        upload.sendall(cat[-1:])
        assert status_of(upload) == 200
        assert service.process.wait(60) == 0


def test_fifty_connections_lose_no_request_and_leak_no_memory(service, pytestconfig, photos):
    seconds = 30 if pytestconfig.getoption("--full") else 2
    contents = [path.read_bytes() for path in sorted(photos.glob("*.jpg"))]
    asyncio.run(load(service.port, contents, seconds))
    before = service.resident_megabytes()
    latencies = sorted(asyncio.run(load(service.port, contents, seconds)))
    growth = service.resident_megabytes() - before
    median, high = (1000 * latencies[int(share * len(latencies))] for share in (0.5, 0.99))
    print(f"{len(latencies) / seconds:.0f} requests/s, {median:.0f} ms (p99 {high:.0f} ms), {growth:+.1f} MB")
    assert growth < 60  # the allocator's; each of these requests, 150 at least, has 0.6 MB of pixels
    assert service.predict(contents[0]).status_code == 200


async def load(port: int, contents: list[bytes], seconds: float) -> list[float]:
    """Seconds that each request took; each of the connections sends the next as soon as it has an answer.

    It goes on beyond the time until there were three requests for each connection.
    """
    latencies, end = [], time.monotonic() + seconds

    async def one(number: int):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end or len(latencies) < 3 * CONNECTIONS:
            content = contents[(number + len(latencies)) % len(contents)]
            started = time.monotonic()
            writer.write(f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n".encode())
            writer.write(content)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            assert len(json.loads(body)["predictions"][0]["top"]) == 5
            latencies.append(time.monotonic() - started)
        writer.close()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return latencies


@pytest.fixture(scope="module")
def service_module():
    """Loads a module of the service by its name."""

    sys.path.append(str(SERVICE))  # of the modules that it imports itself

    def load_module(name: str):
        spec = importlib.util.spec_from_file_location(f"{name}_of_service", SERVICE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_module


@pytest.fixture(scope="module")
def model(service_module):
    return service_module("model")


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic", "area", "lanczos"])
def test_pictures_that_opencv_resizes(interpolation, service_module, contract_for, photos):
    pytest.importorskip("cv2")
    contract = contract_for("uint8")
    seen = replace(contract.preprocessing, resampling="opencv", interpolation=interpolation)
    content = {"image_size": 224, "resize_size": 256, "jpeg_reductions": [], "resampling": "opencv", "input": "uint8"}
    content |= {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": interpolation}
    network_input = service_module("pictures").network_input
    for path in sorted(photos.iterdir()):
        expected = ImageReader(seen.transform(), MAX_PIXELS)(path)
        assert (network_input(path.read_bytes(), content, MAX_PIXELS) == expected).all(), path
    with pytest.raises(Image.DecompressionBombError):  # of 300 x 40 pixels, six times as many in each direction
        network_input((photos / "wide.webp").read_bytes(), content, 400_000)


NONSENSE = {
    "format": 2,
    "input": "uint8",
    "layout": "NHWC",
    "channel_order": "BGR",
    "image_size": "large",
    "resize_size": 100,
    "interpolation": ["linear"],
    "crop": None,
    "jpeg_reductions": [2],
    "mean": [0.4, 0.4],
    "std": [0.2, 0.0, 0.2],
    "output": "probabilities",
    "sha256": "0" * 64,
    "class_names": ["cat", "dog"],
}


@pytest.mark.parametrize("key", NONSENSE)
def test_nonsense_in_the_contract(key, model, exports, tmp_path):
    directory = shutil.copytree(exports["float"], tmp_path / "export")
    content = yaml.safe_load((directory / FILE).read_text(encoding="utf-8"))
    for changed in (content | {key: NONSENSE[key]}, {name: content[name] for name in content if name != key}):
        (directory / FILE).write_text(yaml.safe_dump(changed), encoding="utf-8")
        with pytest.raises(Exception, match=key):
            model.load_network(directory, model.read_contract(directory), threads=1, max_batch=1)


def test_an_export_for_opencvs_pixels(model, exports, monkeypatch, tmp_path):
    pytest.importorskip("cv2")
    directory = shutil.copytree(exports["uint8"], tmp_path / "export")
    content = yaml.safe_load((directory / FILE).read_text(encoding="utf-8")) | {"resampling": "opencv"}
    (directory / FILE).write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match="jpeg_reductions contradicts resampling"):
        model.read_contract(directory)
    (directory / FILE).write_text(yaml.safe_dump(content | {"jpeg_reductions": []}), encoding="utf-8")
    model.load_network(directory, model.read_contract(directory), threads=1, max_batch=1)
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install opencv-python-headless"):
        model.read_contract(directory)


@pytest.mark.parametrize("engine", ["openvino", "auto"])
def test_other_engines(engine, exports, cat, tmp_path):
    """OpenVINO reads Paddle's files; whichever is the fastest gives the same answer."""
    pytest.importorskip("openvino")
    with serve(exports["uint8"], tmp_path / "log", "--engine", engine, "--max-batch", 2) as running:
        (found,) = running.predict(cat).json()["predictions"]
        assert found["top"][0]["name"] == TABBY
        assert abs(found["top"][0]["score"] - 0.4294) < 1e-3
        assert re.search("engine: (openvino|inference)", running.log.read_text())


def test_an_engine_that_does_not_fit(exports, tmp_path):
    done = subprocess.run(command(exports["float"], "--engine", "onnxruntime"), capture_output=True, text=True)
    assert done.returncode == 1
    assert "the engine onnxruntime is not installed, or not for a model of this kind" in done.stderr


def test_bad_directories_end_it_with_one_line(exports, tmp_path):
    swapped = shutil.copytree(exports["float"], tmp_path / "swapped")
    shutil.copy(exports["uint8"] / PROGRAM, swapped)
    missing = shutil.copytree(exports["float"], tmp_path / "missing")
    (missing / "inference.pdiparams").unlink()
    listed = shutil.copytree(exports["float"], tmp_path / "listed")
    (listed / FILE).write_text("- not\n- keys\n")
    expectations = {
        swapped: f"{PROGRAM} or inference.pdiparams is damaged, or of another export",
        missing: "No such file or directory: '.*inference.pdiparams'",
        listed: "in inference.yaml input is missing, or none of ",
    }
    options = {"stderr": subprocess.PIPE, "text": True, "cwd": tmp_path, "env": inherited_environment()}
    processes = {directory: subprocess.Popen(command(directory), **options) for directory in expectations}
    for directory, process in processes.items():
        _, text = process.communicate(timeout=300)
        assert re.fullmatch(f"error: cannot serve {directory}: .*{expectations[directory]}.*\n", text), text
        assert process.returncode == 1


def test_a_port_that_is_taken(service, exports, tmp_path):
    again = command(exports["float"], "--port", service.port, *LIGHT)
    result = subprocess.run(again, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert result.returncode != 0
    assert f"('127.0.0.1', {service.port}): address already in use" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def page(service, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get(f"http://127.0.0.1:{service.port}/")
        yield driver


def card(page, name: str):
    """The part of the page about the file, once it is answered."""
    WebDriverWait(page, 20).until(lambda page: not page.find_elements(By.CLASS_NAME, "waiting"))
    cards = page.find_elements(By.TAG_NAME, "article")
    return next(entry for entry in cards if entry.find_element(By.TAG_NAME, "h2").text == name)


def test_the_page_shows_answers_as_bars(page, expected):
    WebDriverWait(page, 20).until(lambda page: page.find_element(By.ID, "model").text)
    assert page.find_element(By.ID, "model").text == "squeezenet1_1 knows 1,000 classes"
    assert page.get_log("browser") == []
    page.find_element(By.ID, "files").send_keys(str(CAT))
    found = card(page, CAT.name)
    assert found.find_element(By.TAG_NAME, "img").get_property("naturalWidth") > 0
    answers = expected(CAT, 5)
    assert [name.text for name in found.find_elements(By.CLASS_NAME, "name")] == [entry["name"] for entry in answers]
    percents = [f"{100 * entry['score']:.1f} %" for entry in answers]
    assert [score.text for score in found.find_elements(By.CLASS_NAME, "score")] == percents
    time.sleep(0.6)  # the bars have grown
    track = found.find_element(By.CLASS_NAME, "track").size["width"]
    shares = [bar.size["width"] / track for bar in found.find_elements(By.CLASS_NAME, "bar")]
    assert shares == pytest.approx([entry["score"] for entry in answers], abs=0.01)


DROP = """
const [name, content, zeros] = arguments;
const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes, new Uint8Array(zeros)], name));
dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
"""


def drop(page, name: str, content: bytes, zeros: int = 0):
    page.execute_script(DROP, name, base64.b64encode(content).decode(), zeros)
    return card(page, name)


def test_dropped_files(page, cat):
    assert drop(page, "cat.jpg", cat).find_element(By.CLASS_NAME, "name").text == TABBY
    error = drop(page, "<i>no photo</i>", b"no photo").find_element(By.CLASS_NAME, "error")
    assert error.text == "The picture is not an image, or it is damaged."
    error = drop(page, "huge.jpg", cat, zeros=17 << 20).find_element(By.CLASS_NAME, "error")
    assert error.text == "Content Too Large"


def test_it_is_short_and_needs_no_more_than_it_says():
    copies = {
        "operators.py",
        "pir_operators.py",
        "pir_program.py",
        "work.py",
    }  # tests/attack compares with the library's
    lines = {path.name: len(path.read_text().splitlines()) for path in SERVICE.glob("*.py") if path.name not in copies}
    assert lines.pop("engines.py") < 120
    assert lines.pop("answers.py") < 45
    assert lines.pop("channels.py") < 105
    assert lines.pop("engine_process.py") < 80
    assert lines.pop("fitting.py") < 65
    assert sum(lines.values()) < 520
    texts = [path.read_text() for path in SERVICE.glob("*.py")]
    lines = [line for text in texts for line in text.splitlines()]
    imports = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    own = {path.stem for path in SERVICE.glob("*.py")}
    assert imports - sys.stdlib_module_names - own == {"numpy", "PIL", "starlette", "uvicorn", "yaml"}


@pytest.mark.parametrize("package", ["uvicorn", "python_multipart"])
def test_without_its_extra_it_says_so_in_one_line(package, tmp_path):
    """``None`` among the modules is one that is not installed."""
    run = f"runpy.run_path({str(SERVICE)!r}, run_name='__main__')"
    program = f"import runpy, sys; sys.modules[{package!r}] = None; {run}"
    command = [sys.executable, "-I", "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode != 0
    assert result.stderr == f'error: the service needs {package}: pip install -e ".[cpu,serve]"\n'
