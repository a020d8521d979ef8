"""Weights from any source into a network, all or nothing, with a report on every tensor.

What may differ, and what may not:

- A head tensor (one with ``head`` in its name) that differs in the class count only: the head is
  re-initialised. Any other difference of shape is an error that lists names and shapes.
- The first convolution, when the network takes other than three channels: summed or repeated.
- A tensor of the network that the file lacks: an error, unless it is excluded. (The original
  skipped such tensors without a word.)
- A tensor of the file that the network lacks: reported, never an error. Training checkpoints carry
  optimizer state, averages and counters, and the plain parameters of such a checkpoint are what is
  loaded, as the original did; ``fluid_training.select_averaged`` picks the averages instead.
"""

import fnmatch
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import paddle

from imgcls.errors import UserError, close_matches
from imgcls.models.layers import Network, fluid_names
from imgcls.registry import ModelInfo
from imgcls.weights import adapt
from imgcls.weights.download import fetch
from imgcls.weights.fluid import read_tar
from imgcls.weights.fluid_training import is_training_state
from imgcls.weights.report import LoadReport, Mismatch, Stored, WeightsMismatch, some
from imgcls.weights.source import Naming, Weights, locate_weights, read_weights

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parents[1] / "assets" / "weights"
