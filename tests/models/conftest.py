"""Networks as small as their families can be."""

import pytest
from zoo import slim

import imgcls


@pytest.fixture(scope="session")
def build(pytestconfig):
    """``imgcls.create_model``, but for the largest: those have fewer parameters unless ``--full`` is given."""
    return imgcls.create_model if pytestconfig.getoption("--full") else slim
