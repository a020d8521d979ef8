"""Every published network exported every way gives the eager network's numbers; one of each family by default.

All 104, with the largest difference of each way printed:
``python -m pytest tests/deploy/test_matrix.py --full -rP -o tmp_path_retention_policy=failed``
(hours of CPU, 20 GB of memory for the largest).
"""

import gc
import importlib.util

import pytest
from matrix import check_onnx, check_others, check_paddle, families, quick_size, show

import imgcls
from imgcls.data.transforms import eval_transform
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.exporter import TOLERANCE

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("paddle2onnx", "onnx", "onnxruntime")),
    reason="the extra imgcls[onnx] is not installed",
)


def one_of_each_family_or_full(name: str):
    return pytest.param(name, marks=[] if name in families() else [pytest.mark.full])


def light_or_full(name: str):
    return pytest.param(name, marks=[] if name in LIGHT else [pytest.mark.full])


def photos(size: int):
    """Two bundled photos."""
    return bundled_photos(eval_transform(size, size), every=18)


@pytest.fixture(autouse=True)
def _free_memory():
    """Translated networks refer to themselves: without this, 104 of them would pile up."""
    yield
    gc.collect()


LIGHT = ("mobilenetv3_small_x1_0", "alexnet", "googlenet")
PUBLISHED = imgcls.list_models(published=True)


@pytest.mark.parametrize("name", map(one_of_each_family_or_full, PUBLISHED))
def test_paddle_graphs(name, tmp_path):
    size = quick_size(name)
    differences = check_paddle(name, size, photos(size), tmp_path)
    show(name, differences)
    assert max(differences.values()) <= TOLERANCE


@pytest.mark.parametrize("name", map(light_or_full, families()))
def test_other_inputs_and_outputs(name, tmp_path):
    """``export`` itself refuses a difference from the network."""
    size = quick_size(name)
    show(name, check_others(name, size, photos(size), tmp_path))


@needs_onnx
@pytest.mark.parametrize("name", map(one_of_each_family_or_full, PUBLISHED))
def test_onnx_graphs(name, tmp_path):
    size = quick_size(name)
    difference = check_onnx(name, size, photos(size), tmp_path)
    show(name, {"onnxruntime": difference})
    assert difference <= TOLERANCE
