"""Names of the hub against a server of this machine that answers as the hub does, and files beside weights."""

import json
import os
import subprocess
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from locations import ROOT

from imgcls import load_predictor
from imgcls.errors import UserError
from imgcls.models.registry import build_model, model_info
from imgcls.weights.hub import Seen, fetch_from_hub, seen_by
from imgcls.weights.peers.adopt import named_for_torch
from imgcls.weights.safetensors_file import write_safetensors
from imgcls.weights.source import locate_weights

CONFIG = {
    "architecture": "squeezenet1_1",
    "pretrained_cfg": {
        "input_size": [3, 192, 192],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    },
}
NAME = "hf-hub:timm/squeezenet1_1.test"
COMMIT = "a" * 40
FETCH = "import sys; from imgcls.weights.source import locate_weights; print(locate_weights(sys.argv[1]))"
WITHOUT_PAUSES = "import time; time.sleep = lambda seconds: None; "
"""The client tries six times, with 23 seconds in between."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model's directory: weights by torchvision's names, and what timm writes beside them."""
    directory = tmp_path_factory.mktemp("model")
    network = build_model("squeezenet1_1", ceil_mode=True, stem=(64, 3, 0))
    arrays, _ = named_for_torch(network, model_info("squeezenet1_1"))
    write_safetensors(directory / "model.safetensors", arrays, {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return directory


@pytest.fixture
def hub(files):
    """The address of a server that has the one model."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET(body=False)

        def do_GET(self, body=True):
            prefix, _, name = self.path.partition("?")[0].rpartition("/")
            file = files / name
            if prefix.startswith("/timm/squeezenet1_1.test/resolve/") and file.is_file():
                content = file.read_bytes()
                self.send_response(200)
                self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
            else:
                content = b"{}"
                self.send_response(404)
                known = prefix.startswith("/timm/squeezenet1_1.test")
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(name, tmp_path, before="", **variables):
    """In a process of its own: the hub's client reads its variables once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IMGCLS_CACHE": str(tmp_path / "ours"), **variables}
    environment |= {"HF_HOME": str(tmp_path / "我的 hub"), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", before + FETCH, name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_name_is_fetched_once_and_then_there_without_a_network(hub, files, tmp_path):
    pytest.importorskip("huggingface_hub")
    first = fetch(NAME, tmp_path, HF_ENDPOINT=hub)
    assert first.returncode == 0, first.stderr
    path = Path(first.stdout.strip())
    assert path.read_bytes() == (files / "model.safetensors").read_bytes()
    assert json.loads(path.with_name("config.json").read_text(encoding="utf-8")) == CONFIG
    again = fetch(NAME, tmp_path, HF_HUB_OFFLINE="1")
    assert again.stdout.strip() == str(path), again.stderr


def test_what_is_not_there_and_what_cannot_be_reached(hub, tmp_path):
    pytest.importorskip("huggingface_hub")
    missing = fetch("hf-hub:timm/nothing", tmp_path, HF_ENDPOINT=hub)
    assert "hf-hub:timm/nothing cannot be had from the hub: there is none of that name" in missing.stderr
    offline = fetch(NAME, tmp_path, HF_HUB_OFFLINE="1")
    by_hand = tmp_path / "ours" / "hub" / "timm" / "squeezenet1_1.test"
    assert f"get its model.safetensors and config.json elsewhere and put both into {by_hand}." in offline.stderr
    dead = fetch(NAME, tmp_path, WITHOUT_PAUSES, HF_ENDPOINT="http://127.0.0.1:9")
    assert f"put both into {by_hand}." in dead.stderr


def test_files_put_there_by_hand(files, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    place = tmp_path / "hub" / "timm" / "squeezenet1_1.test"
    place.parent.mkdir(parents=True)
    place.symlink_to(files)
    assert fetch_from_hub(NAME) == place / "model.safetensors"
    assert locate_weights(NAME) == locate_weights(place) == place / "model.safetensors"


@pytest.mark.parametrize(
    "name", ["hf-hub:", "hf-hub:resnet", "hf-hub:a/b/c", "hf-hub:../..", "hf-hub:a/..", "hf-hub:a/b c"]
)
def test_what_is_no_name(name):
    with pytest.raises(UserError, match="no name of the hub"):
        fetch_from_hub(f"hf-hub:{name}")


def test_how_the_network_saw_images(files, tmp_path):
    seen = seen_by(files / "model.safetensors")
    assert seen == Seen(192, 213, "cubic", (0.5,) * 3, (0.25,) * 3, str(files / "config.json"))
    assert seen_by(tmp_path / "other.pth") is None
    assert seen_by(tmp_path / "other.pth", "timm").interpolation == "cubic"
    for wrong in ("[]", '{"architecture": 3}', '{"architecture": "a", "pretrained_cfg": []}'):
        (tmp_path / "config.json").write_text(wrong, encoding="utf-8")
        assert seen_by(tmp_path / "model.safetensors") is None
    odd = {"architecture": "a", "input_size": "x", "crop_pct": "y", "mean": [1], "std": {}, "interpolation": 3}
    (tmp_path / "config.json").write_text(json.dumps(odd), encoding="utf-8")
    assert set(seen_by(tmp_path / "model.safetensors").__dict__.values()) == {None, str(tmp_path / "config.json")}


def test_it_comes_along(files, run_program, tmp_path):
    """Into an export's contract, under what the command says itself."""
    arguments = ("model=squeezenet1_1", "model.args.ceil_mode=true", "model.args.stem=[64,3,0]", "export.check=false")
    weights = f"model.pretrained={files / 'model.safetensors'}"
    run_program("export", *arguments, weights, "transform.std=[0.5,0.5,0.5]", "export.dir=out", cwd=tmp_path)
    preprocessing = load_predictor(tmp_path / "out").preprocessing
    assert (preprocessing.size, preprocessing.resize_size, preprocessing.interpolation) == (192, 213, "cubic")
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)


def test_a_tensor_of_the_file(files):
    from imgcls.weights.source import read_weights

    weights = read_weights(files / "model.safetensors")
    assert weights.architecture == "squeezenet1_1"
    assert weights.arrays["features.0.weight"].dtype == np.float32
