"""Every published network exported every way gives the eager network's numbers; one of each family by default.

All 104, with the largest difference of each way printed:
``python -m pytest tests/deploy/test_matrix.py --full -rP -o tmp_path_retention_policy=failed``
(an hour of CPU, 17 GB of memory for the largest).
"""

import gc
import importlib.util
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context

import numpy as np
import pytest
from matrix import (
    KINDS,
    check_onnx,
    check_others,
    check_paddle,
    contract_of,
    families,
    filled,
    images_for_any,
    quick_size,
    show,
    uncropped,
)

import imgcls
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.engines import is_x86
from imgcls.deploy.exporter import TOLERANCE, export
from imgcls.errors import UserError

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("paddle2onnx", "onnx", "onnxruntime")),
    reason="the extra imgcls[onnx] is not installed",
)


def one_of_each_family_or_full(name: str):
    """By default the smallest of each family, unless that is large or slow as well."""
    info = imgcls.model_info(name)
    by_default = name in families() and info.params < BY_DEFAULT and info.macs < FAST
    return pytest.param(name, marks=[] if by_default else [pytest.mark.full])


def kinds_of(name: str):
    """By default two families share them: one with a head of a fixed size, one with three heads in training."""
    some = LIGHT.get(name, [])
    by_default = [pytest.param(name, some, SLIM.get(name))] if some else []
    return [*by_default, pytest.param(name, KINDS, None, marks=pytest.mark.full)]


def images_for(name: str, size: int) -> np.ndarray:
    """Two bundled photos for the small networks; for the rest the reference's own images.

    The reference's weights are made for its images. In deep networks smooth pictures make logits
    of thousands of them, and rounding grows with that.
    """
    if name in families():
        return bundled_photos(uncropped(size), every=18)
    return images_for_any(size)


@pytest.fixture(autouse=True)
def _free_memory():
    """Translated networks refer to themselves: without this, 104 of them would pile up."""
    yield
    gc.collect()


BY_DEFAULT = 10e6  # parameters
FAST = 500e6  # multiplications and additions
LIGHT = {
    "alexnet": [("float", "probabilities"), ("uint8", "features")],
    "googlenet": [("uint8", "probabilities")],
}
SLIM = {"alexnet": 2}
ONNX = ("mobilenetv1_x0_25", "mobilenetv3_small_x1_0", "shufflenetv2_x0_25", "squeezenet1_1")
"""Translated by default."""

PUBLISHED = imgcls.list_models(published=True)


@pytest.mark.parametrize("name", map(one_of_each_family_or_full, PUBLISHED))
def test_paddle_graphs(name, tmp_path):
    size = quick_size(name)
    arguments = name, size, images_for(name, size), tmp_path
    if imgcls.model_info(name).params < BY_DEFAULT:
        differences = check_paddle(*arguments)
    else:  # what engines keep to the end of their process would pile up
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            differences = pool.submit(check_paddle, *arguments).result()
    show(name, differences)
    assert max(differences.values()) <= TOLERANCE


def test_a_head_of_one_size_is_refused_at_any(tmp_path):
    """AlexNet's pooling to 6 x 6 from any size runs eagerly, but not under oneDNN."""
    if not is_x86():
        pytest.skip("oneDNN is for x86")
    with pytest.raises(UserError, match=r"alexnet under inference cannot take pictures of 288 x 256 pixels"):
        export(
            filled("alexnet"),
            contract_of("alexnet", 224, "float", "logits", True),
            tmp_path / "out",
            images_for("alexnet", 224),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "kinds", "map_size"), chain.from_iterable(map(kinds_of, families())))
def test_other_inputs_and_outputs(name, kinds, map_size, tmp_path):
    """``export`` itself refuses a difference from the network."""
    size = quick_size(name)
    show(name, check_others(filled(name, map_size), name, kinds, size, images_for(name, size), tmp_path))


@needs_onnx
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ONNX else [pytest.mark.full]) for name in PUBLISHED]
)
def test_onnx_graphs(name, tmp_path):
    size = quick_size(name)
    difference = check_onnx(name, size, images_for(name, size), tmp_path)
    show(name, {"onnxruntime": difference})
    assert difference <= TOLERANCE
