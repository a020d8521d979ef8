"""Networks that see other shapes than a square, and whole pictures: exported, evaluated, served, asked for views."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from locations import ROOT
from test_clients import run_client

from imgcls.app.engine_evaluation import AsNetwork
from imgcls.data.choices import FITS
from imgcls.data.pictures.decode import MAX_PIXELS
from imgcls.deploy.contract import FILE, read_contract, write_contract
from imgcls.deploy.exporter import check_photos, export
from imgcls.deploy.predictor import NetworkPredictor, softmax
from imgcls.deploy.reader import ImageReader
from imgcls.deploy.views import SeveralViews, views
from imgcls.errors import UserError

SERVICE = ROOT / "scripts" / "clients" / "service"


@pytest.fixture(scope="module")
def seen_by(contract_for):
    def make(size, fit, **values):
        return replace(contract_for().preprocessing, size=size, fit=fit, resize_size=112, **values)

    return make


@pytest.fixture
def service_module(monkeypatch):
    monkeypatch.syspath_prepend(SERVICE)

    def load(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        spec = importlib.util.spec_from_file_location(f"{name}_of_shapes", SERVICE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("resampling", ["pillow", "opencv"])
def test_the_contract_says_it_and_the_service_reads_pictures_so(
    fit, resampling, seen_by, contract_for, service_module, photos, tmp_path
):
    """To the bit, whatever lies on its side or is shrunk by its decoder."""
    if resampling == "opencv":
        pytest.importorskip("cv2")
    network_input = service_module("pictures").network_input
    for size in ((96, 144), (144, 96), 100):
        seen = seen_by(size, fit, resampling=resampling)
        contract = contract_for("uint8", preprocessing=seen, sha256=dict.fromkeys(FILES, "0" * 64))
        write_contract(contract, tmp_path)
        assert read_contract(tmp_path) == contract
        content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
        assert content["image_size"] == (list(size) if isinstance(size, tuple) else size)
        assert content["crop"] == ("center" if fit == "crop" else fit)
        read = ImageReader(seen.transform(), MAX_PIXELS)
        for path in sorted(photos.iterdir()):
            assert np.array_equal(network_input(path.read_bytes(), content, MAX_PIXELS), read(path)), (size, path)


FILES = ("inference.pdmodel", "inference.pdiparams")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image_size", [96, 0], "image_size is \\[96, 0\\], expected a number of pixels"),
        ("image_size", [96, 96, 3], "image_size"),
        ("image_size", [500, 300], "resize_size is 112, less than the image_size of 500 x 300"),
        ("crop", "five", "crop is 'five', expected center or letterbox or stretch"),
    ],
)
def test_nonsense_in_the_contract(key, value, said, seen_by, contract_for, service_module, tmp_path):
    contract = contract_for(preprocessing=seen_by((96, 112), "crop"), sha256=dict.fromkeys(FILES, "0" * 64))
    write_contract(contract, tmp_path)
    content = yaml.safe_load((tmp_path / FILE).read_text(encoding="utf-8"))
    (tmp_path / FILE).write_text(yaml.safe_dump(content | {key: value}), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_contract(tmp_path)
    with pytest.raises(ValueError, match=key):
        service_module("model").read_contract(tmp_path)


def test_an_export_of_another_shape(squeezenet, seen_by, contract_for, photos, run_program, tmp_path):
    """Its files give the network's answers; a client without imgcls gives the bits of the program."""
    seen = seen_by((96, 144), "letterbox")
    contract = contract_for("uint8", preprocessing=seen)
    differences = export(squeezenet, contract, tmp_path / "served", check_photos(contract))
    assert max(differences.values()) < 1e-4
    told = run_client("inference_client.py", tmp_path / "served", *sorted(photos.iterdir()), cwd=tmp_path)
    arguments = ("predict.engine=inference", f"predict.input={photos}", "predict.batch_size=1")
    run_program("predict", "predict.source=served", *arguments, "run.name=one", cwd=tmp_path)
    assert told == (tmp_path / "outputs" / "one" / "predictions.jsonl").read_text()


def test_the_answers_of_views_are_averaged(squeezenet, seen_by, images):
    one = NetworkPredictor(squeezenet, seen_by(224, "crop"))
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    flip = SeveralViews(one, "flip")
    expected = (one.probabilities(images) + one.probabilities(mirrored)) / 2
    assert np.allclose(flip.probabilities(images), expected, atol=1e-7)
    assert np.allclose(softmax(flip.logits(images)), expected, atol=1e-6)
    assert np.allclose(flip.probabilities(mirrored), expected, atol=1e-6)  # the same for a mirror image
    assert np.allclose(flip.features(images), (one.features(images) + one.features(mirrored)) / 2, atol=1e-5)

    class Tags:
        activation = "sigmoid"

        def probabilities(self, images):
            return images.reshape(len(images), -1)[:, :2] / 255

    views_of_tags = SeveralViews(Tags(), "five")
    stacked = np.arange(5 * 4 * 3 * 3, dtype=np.uint8).reshape(1, 20, 3, 3)
    assert [view.shape for view in views(stacked, "five")] == [(1, 4, 3, 3)] * 5
    assert np.array_equal(views(stacked, "five")[3][0], stacked[0, 12:16])
    mean = np.mean([view.reshape(1, -1)[:, :2] / 255 for view in views(stacked, "five")], axis=0)
    assert np.allclose(1 / (1 + np.exp(-views_of_tags.logits(stacked))), mean)
    assert AsNetwork(views_of_tags).gives_logits


def test_views_in_evaluation_and_prediction(run_directory, run_program, tmp_path):
    """The same averages in both programs, for a run whose network sees other shapes now."""
    size = "transform.size=[64,96]"
    run_program("eval", f"eval.source={run_directory}", size, "eval.tta=five", "run.name=five", cwd=tmp_path)
    summary = json.loads((tmp_path / "outputs" / "five" / "summary.json").read_text())
    assert summary["tta"] == "five"
    rows = (tmp_path / "outputs" / "five" / "per_image.csv").read_text(encoding="utf-8").splitlines()
    run_program(
        "predict",
        f"predict.source={run_directory}",
        size,
        "predict.tta=five",
        f"predict.input={ROOT / 'imgcls' / 'assets' / 'sample_photos' / 'val'}",
        "run.name=predicted",
        cwd=tmp_path,
    )
    answers = map(json.loads, (tmp_path / "outputs" / "predicted" / "predictions.jsonl").read_text().splitlines())
    scores = {line["path"].rpartition("/")[2]: line["top"][0]["score"] for line in answers}
    head, *rows = (row.split(",") for row in rows)
    told = {row[head.index("path")].rpartition("/")[2]: float(row[head.index("score")]) for row in rows}
    assert len(told) == len(scores) == 36
    assert all(abs(told[name] - scores[name]) < 2e-4 for name in told)


REFUSED = [
    ("train", ["transform.size=[96,0]"], "transform.size=0: must be at least 1."),
    ("train", ["transform.size=wide"], "transform.size=wide: must be a number of pixels"),
    ("train", ["transform.size=[96,96,3]"], "height and width as [192,320]"),
    ("train", ["transform.size=[96,300]", "transform.resize_size=90"], "the centre crop would not fit"),
    ("train", ["transform.fit=letterbox", "transform.resize_size=256"], "transform.fit=letterbox shows the whole"),
    ("train", ["transform.fit=pad"], "must be one of crop, letterbox, stretch"),
    ("train", ["transform.fit=letterbox", "data.backend=dali"], "not with data.backend=dali"),
    ("eval", ["transform.fit=stretch", "eval.tta=five"], "eval.tta=five cuts corners off"),
    ("predict", ["predict.input=x", "predict.tta=ten"], "must be one of flip, five"),
]


@pytest.mark.parametrize(("program", "arguments", "said"), REFUSED)
def test_what_cannot_be_is_said_at_once(program, arguments, said, ask, tmp_path):
    answer = ask(program, *arguments, cwd=tmp_path)
    assert answer.returncode
    assert said in answer.stderr
