"""Samples without files, for trying things."""

import numpy as np

from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.samples import Samples


def synthetic_samples(num_samples: int, num_classes: int) -> Samples:
    """Samples without files, their labels 0, 1, 2, ... in turn."""
    name = b"synthetic"
    starts = np.zeros(num_samples, np.int64)
    labels = (np.arange(num_samples) % num_classes).astype(np.int32)
    return Samples("", name, starts, starts + len(name), labels, default_class_names(num_classes))
