"""Saved models of the original library and what each must give."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from locations import REFERENCE


@pytest.fixture(scope="session")
def fluid_checkpoint() -> Path:
    return REFERENCE / "fluid_checkpoint"


@pytest.fixture(scope="session")
def expected(fluid_checkpoint) -> dict:
    return json.loads((fluid_checkpoint / "expected.json").read_text())["cases"]


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """The two input images of the reference, ``[2, 3, 224, 224]``."""
    return runpy.run_path(str(REFERENCE / "weights.py"))["make_input"](224)
