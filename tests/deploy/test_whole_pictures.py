"""Pictures that are not cropped, answered for in their own shapes by networks and exports that take any."""

import json
import shutil
from dataclasses import replace

import numpy as np
import paddle
import pytest
from PIL import Image

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.pictures.decode import MAX_PIXELS
from imgcls.data.pictures.whole import unpack
from imgcls.deploy.exporter import export
from imgcls.deploy.predictor import NetworkPredictor, open_export
from imgcls.deploy.reader import ImageReader
from imgcls.deploy.views import SeveralViews, views_of
from imgcls.errors import UserError


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photos of several shapes."""
    root = tmp_path_factory.mktemp("shapes")
    for number, path in enumerate(sorted((SAMPLE_PHOTOS / "val" / "tool").iterdir())[:3]):
        shutil.copy(path, root / f"{number}.jpg")
    wide = Image.open(root / "0.jpg")
    wide.crop((0, 0, wide.width, wide.width // 3)).save(root / "wide.png")
    return sorted(root.iterdir())


@pytest.fixture(scope="module")
def seen(contract_for):
    return replace(contract_for().preprocessing, size=96, resize_size=96)


def packed(seen, pictures) -> np.ndarray:
    read = ImageReader(seen.transform(**views_of("whole")), MAX_PIXELS)
    return np.stack([read(path) for path in pictures])


def test_answers_are_those_of_each_picture_alone(squeezenet, seen, pictures):
    one = NetworkPredictor(squeezenet, seen)
    whole, images = SeveralViews(one, "whole"), packed(seen, pictures)
    shapes = {unpack(image).shape for image in images}
    assert len(shapes) > 1
    for ask in ("probabilities", "features"):
        found = getattr(whole, ask)(images)
        expected = np.concatenate([getattr(one, ask)(unpack(image)[np.newaxis]) for image in images])
        assert np.allclose(found, expected, atol=1e-5 * np.ptp(expected))


class OneSize(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.last = paddle.nn.Linear(3 * 96 * 96, 5)

    def forward(self, images):
        return self.last(images.flatten(1))


def test_networks_and_exports_of_one_size_are_refused(exports, seen):
    with pytest.raises(UserError, match=r"tta=whole: OneSize is for pictures of 96 x 96 pixels and cannot take others"):
        SeveralViews(NetworkPredictor(OneSize(), seen), "whole")
    with pytest.raises(UserError, match=r"tta=whole is for exports of any size: export with export.dynamic_size=true"):
        SeveralViews(open_export(exports["uint8"]), "whole")


def test_an_export_of_any_size(squeezenet, seen, contract_for, pictures, run_program, tmp_path):
    """It gives the network's answers, and the program gives them."""
    contract = contract_for("uint8", preprocessing=seen, dynamic_size=True)
    export(squeezenet, contract, tmp_path / "served")
    expected = SeveralViews(NetworkPredictor(squeezenet, seen), "whole").probabilities(packed(seen, pictures))
    names = ",".join(f'"{path}"' for path in pictures)
    asked = ("predict.source=served", "predict.tta=whole", f"predict.input=[{names}]", "run.name=asked")
    run_program("predict", *asked, cwd=tmp_path)
    told = [json.loads(line) for line in (tmp_path / "outputs" / "asked" / "predictions.jsonl").open(encoding="utf-8")]
    assert [line["path"] for line in told] == [str(path) for path in pictures]
    for line, row in zip(told, expected, strict=True):
        assert line["top"][0]["class"] == row.argmax()
        assert line["top"][0]["score"] == pytest.approx(row.max(), abs=1e-4)


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("eval", ["transform.fit=stretch", "eval.tta=whole"], "transform.fit=stretch shows the whole picture already"),
        ("eval", ["eval.knn=5", "eval.tta=whole"], "eval.knn=5 compares pictures of one size"),
        ("eval", ["data.backend=dali", "eval.tta=whole"], "eval.tta=whole: not with data.backend=dali"),
    ],
)
def test_what_goes_with_it(program, arguments, said, ask, tmp_path):
    result = ask(program, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
