"""Networks of other channels than three: exported, answered for by engines and clients, and from data to a service."""

import csv
import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from locations import ROOT
from PIL import Image
from test_clients import run_client
from tiny_run import SMALLEST, assert_same_end

import imgcls
from imgcls.data.pictures.decode import MAX_PIXELS
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import FILE, read_contract, write_contract
from imgcls.deploy.exporter import check_photos, export
from imgcls.deploy.reader import ImageReader
from imgcls.errors import UserError

SERVICE = ROOT / "scripts" / "clients" / "service"
MODEL_FILES = ("inference.pdmodel", "inference.pdiparams")
LARGE = ("large", "large turned", "twelve megapixels")
TINY = (*SMALLEST, "transform.size=32", "trainer.num_workers=0", "trainer.gpus=0")


@pytest.fixture
def service_module(monkeypatch):
    monkeypatch.syspath_prepend(SERVICE)

    def load(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        spec = importlib.util.spec_from_file_location(f"{name}_of_channels", SERVICE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def seen_by(count: int, depth: int = 16, **values) -> Preprocessing:
    usual = {"size": (48, 64), "resize_size": 56, "interpolation": "cubic", "depth": depth}
    return Preprocessing(**{**usual, **values}, mean=tuple(np.linspace(0.3, 0.6, count).tolist()), std=(0.25,) * count)


@pytest.fixture(scope="module")
def of_any_kind(photos, tmp_path_factory):
    """The pictures of every kind, and arrays of some channels."""
    root, rng = tmp_path_factory.mktemp("arrays"), np.random.default_rng(0)
    for count in (1, 2, 3, 4, 5):
        np.save(root / f"{count}.npy", rng.integers(0, 65536, (70, 90, count)).astype(np.uint16))
        np.save(root / f"{count} of 8 bits.npy", rng.integers(0, 256, (70, 90, count)).astype(np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (70, 90)).astype(np.uint16))
    deep.save(root / "deep.tif")
    return [*sorted(photos.iterdir()), root / "deep.tif"], root


@pytest.mark.parametrize(("count", "depth"), [(1, 16), (2, 16), (3, 16), (4, 16), (5, 16), (1, 8), (4, 8), (5, 8)])
def test_the_contract_says_it_and_the_service_reads_pictures_so(
    count, depth, contract_for, service_module, of_any_kind, tmp_path
):
    """To the bit, from any kind of file."""
    pictures, arrays = of_any_kind
    network_input = service_module("pictures").network_input
    kinds = ("uint8",) if depth == 8 else ("float",)
    for fit, kind in zip(("crop", "letterbox", "stretch"), kinds * 3, strict=True):
        seen = seen_by(count, depth, fit=fit)
        contract = contract_for(kind, preprocessing=seen, sha256=dict.fromkeys(MODEL_FILES, "0" * 64))
        write_contract(contract, tmp_path)
        assert read_contract(tmp_path) == contract
        content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
        assert (content["channels"], content["depth"], content["jpeg_reductions"]) == (count, depth, [])
        assert content["channel_order"] == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(count, "as stored")
        read = ImageReader(seen.transform(), MAX_PIXELS)
        # a large picture is read in one of the ways to fit: here no decoder shrinks it
        photos = [path for path in pictures if count < 5 and (fit == "crop" or path.stem not in LARGE)]
        files = [*photos, *sorted(arrays.glob(f"{count}*.npy"))]
        for path in files:
            image = read(path)
            expected = image if kind == "uint8" else seen.normalize_array(image[np.newaxis])[0]
            assert np.array_equal(network_input(path.read_bytes(), content, MAX_PIXELS), expected), path


def test_a_contract_of_three_channels_is_what_it_was(contract_for, tmp_path):
    write_contract(contract_for(sha256=dict.fromkeys(MODEL_FILES, "0" * 64)), tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    assert content["channel_order"] == "RGB"
    assert not {"channels", "depth"} & set(content)


@pytest.mark.parametrize(
    ("changes", "said", "of_the_service"),
    [
        ({"channels": 5}, r"mean is \[.*, expected 5 numbers, one for", "channel_order"),
        ({"channels": 0}, "channels is 0, expected", "channels"),
        ({"channels": True}, "channels is True", "channels"),
        ({"depth": 12}, "depth is 12, expected 8 or 16", "depth"),
        ({"mean": [0.5] * 3}, r"mean is \[0.5, 0.5, 0.5\], expected 4", "mean"),
        ({"std": [0.5, 0.5, 0.5, 0]}, "std is", "std"),
        ({"channel_order": "RGB"}, "channel_order is RGB, but that of 4 channels is RGBA", "channel_order"),
        ({"input": "uint8", "layout": "NHWC"}, "depth is 16, but a graph for uint8 takes 8 bits", "depth"),
        ({"resampling": "opencv", "jpeg_reductions": []}, "resampling is opencv, which is for RGB", "resampling"),
        ({"jpeg_reductions": [8, 4, 2]}, "jpeg_reductions is", "jpeg_reductions"),
    ],
)
def test_nonsense_in_the_contract(changes, said, of_the_service, contract_for, service_module, tmp_path):
    contract = contract_for(preprocessing=seen_by(4), sha256=dict.fromkeys(MODEL_FILES, "0" * 64))
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8")) | changes
    (tmp_path / FILE).write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_contract(tmp_path)

    with pytest.raises(ValueError, match=of_the_service):
        service_module("model").read_contract(tmp_path)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Arrays of five channels and 16 bits in two classes: those of the second are bright in their last channel."""
    root, rng = tmp_path_factory.mktemp("photos") / "我的照片", np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for number in range(count):
            name = ("dark", "bright")[number % 2]
            (root / split / name).mkdir(parents=True, exist_ok=True)
            values = rng.integers(0, 20_000, (40, 48, 5))
            values[..., 4] += 40_000 * (number % 2)
            np.save(root / split / name / f"scan ({number}).npy", values.astype(np.uint16))
    return root


def test_from_arrays_of_five_channels_to_a_client(scans, run_program, tmp_path):
    """Trained, stopped and gone on with, evaluated, asked, exported; a client without imgcls gives the same bits."""
    data = ("data=folder", f"data.root={scans}", "model.args.in_channels=5", *TINY)
    job = (*data, "trainer.batch_size=4", "trainer.epochs=2", "optimizer.lr=0.05", "trainer.save_every=1")
    run_program("train", *job, "run.name=whole", cwd=tmp_path)
    run_program("train", *job, "run.name=parts", "trainer.max_steps=3", cwd=tmp_path)
    said = run_program("train", *job, "run.name=parts", "trainer.resume=auto", "trainer.max_steps=null", cwd=tmp_path)
    assert "pictures have 5 channels (as stored) of 16 bits; mean [0.485, 0.456, 0.406, 0.485, 0.456]" in (
        said.stdout + said.stderr
    )
    assert_same_end(*(tmp_path / "outputs" / name for name in ("whole", "parts")))
    run_program(
        "eval", "eval.source=outputs/whole", "eval.tta=flip", "eval.report=true", "run.name=judged", cwd=tmp_path
    )
    rows = list(csv.DictReader((tmp_path / "outputs" / "judged" / "per_image.csv").open(encoding="utf-8")))
    assert len(rows) == 6
    assert rows[0]["path"].endswith(".npy")

    run_program("preview", *data, "callbacks.cutmix.enabled=true", "run.name=sheet", cwd=tmp_path)
    assert (tmp_path / "outputs" / "sheet" / "preview.png").is_file()
    run_program("export", "outputs/whole", "export.dir=served", cwd=tmp_path)
    contract = read_contract(tmp_path / "served")
    assert contract.preprocessing.channels.count == 5
    assert contract.image_shape == (5, 32, 32)
    asked = (f"predict.input={scans / 'val'}", "predict.batch_size=1", "predict.engine=inference")
    run_program("predict", "predict.source=served", *asked, "run.name=asked", cwd=tmp_path)
    pictures = sorted((scans / "val").rglob("*.npy"))
    told = run_client("inference_client.py", tmp_path / "served", *pictures, cwd=tmp_path)
    expected = [json.loads(line) for line in (tmp_path / "outputs" / "asked" / "predictions.jsonl").open()]
    found = {line["path"]: line["top"] for line in map(json.loads, told.splitlines())}
    assert found == {line["path"]: line["top"] for line in expected}
    assert len(found) == 6

    predictor = imgcls.load_predictor(tmp_path / "outputs" / "whole")
    answer = predictor.predict(pictures[0])
    assert abs(answer.score - found[str(pictures[0])][0]["score"]) < 1e-4
    assert predictor.predict(np.load(pictures[0])).score == pytest.approx(answer.score, abs=1e-6)


@pytest.mark.parametrize(("count", "input"), [(1, "float"), (4, "uint8")])
def test_pretrained_weights_and_exports(count, input, contract_for, tmp_path):
    """Every engine gives the network's answers for as many channels."""
    network = imgcls.create_model("squeezenet1_1", pretrained=True, in_channels=count)
    contract = contract_for(input, preprocessing=seen_by(count, 16 if input == "float" else 8))
    images = check_photos(contract)
    assert images.shape == (4, 48, 64, count)
    assert images.dtype == contract.preprocessing.channels.dtype
    assert max(export(network, contract, tmp_path / "served", images).values()) < 1e-4
    seen = replace(contract.preprocessing, depth=8)
    assert read_contract(tmp_path / "served").preprocessing.channels.count == seen.channels.count


def test_grey_photos_are_told_as_their_colours_were(contract_for):
    """The first convolution's filters are summed, so grey pictures have the answers that they had in three channels."""
    colour = imgcls.create_model("squeezenet1_1", pretrained=True)
    grey = imgcls.create_model("squeezenet1_1", pretrained=True, in_channels=1)
    mean, std = (0.45,), (0.225,)
    one = Preprocessing(size=64, resize_size=64, interpolation="linear", mean=mean, std=std, depth=16)
    three = replace(one, mean=mean * 3, std=std * 3)
    image = Image.fromarray((np.arange(4096).reshape(64, 64) % 256).astype(np.uint8))
    from imgcls.data.pictures.decode import to_upright
    from imgcls.deploy.predictor import NetworkPredictor

    rng = np.random.default_rng(0)
    answers = [
        NetworkPredictor(network, seen).logits(seen.transform()(to_upright(image, seen.channels), rng)[np.newaxis])
        for network, seen in ((grey, one), (colour, three))
    ]
    assert np.allclose(*answers, atol=1e-3 * np.ptp(answers[0]))
