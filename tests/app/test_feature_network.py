"""The network of an index, opened again: as its features were made, also over several views of a picture."""

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from imgcls.app.composition import composed
from imgcls.app.feature_network import feature_network
from imgcls.app.prediction import open_source
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.errors import UserError

GIVEN = OmegaConf.create({"imports": [], "data": {"max_pixels": 10_000_000, "max_decode_seconds": None}})
COMMAND = ("model=squeezenet1_1", "transform.size=64", "transform.resize_size=64")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """One, and its mirror image."""
    monkeypatch.chdir(tmp_path)
    with Image.open(min(SAMPLE_PHOTOS.glob("val/fish/*.jpg"))) as image:
        square = image.resize((96, 96))
    square.save("photo.png")
    square.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("mirrored.png")
    return ["photo.png", "mirrored.png"]


def refused(path, error):
    raise error


def test_features_over_views_are_asked_for_over_views(photos, tmp_path):
    with composed("predict", [*COMMAND, "predict.input=photo.png", "predict.output=features"]) as (config, _):
        known = open_source(config, 2).origin
    plain = {**known, "output": "features", "topk": 5}
    with feature_network(COMMAND, plain, GIVEN, 2, tmp_path / "asked") as features:
        _, one_view = features(photos, refused)
    with feature_network(
        (*COMMAND, "predict.tta=flip"), {**plain, "tta": "flip"}, GIVEN, 2, tmp_path / "x"
    ) as features:
        names, two_views = features(photos, refused)
    assert names == photos
    assert np.abs(one_view[0] - one_view[1]).max() > 1e-3
    np.testing.assert_allclose(two_views[0], two_views[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(two_views[0], one_view.mean(axis=0), rtol=1e-4, atol=1e-5)
    whole = {**plain, "tta": "whole"}
    with feature_network((*COMMAND, "predict.tta=whole"), whole, GIVEN, 2, tmp_path / "z") as features:
        np.testing.assert_allclose(features(photos, refused)[1], one_view, rtol=1e-4, atol=1e-4)  # of a square
    with (
        pytest.raises(UserError, match="tta was flip, now None"),
        feature_network(COMMAND, {**plain, "tta": "flip"}, GIVEN, 2, tmp_path / "y"),
    ):
        pass
