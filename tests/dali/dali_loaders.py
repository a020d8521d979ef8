"""The two loaders side by side, over the same samples with the same seed."""

import numpy as np
import pytest

from imgcls.data.loading.dali import DaliLoader
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler

MAX_PIXELS = 10_000_000


def require_dali():
    """Skip the whole file without DALI."""
    pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed: scripts/test.sh --dali")


class Loaders:
    """Makes loaders of the same batches, decoded by Pillow or by DALI."""

    def __init__(self, samples, transform, seed=3):
        self.dataset = ImageDataset(samples, transform, seed=seed, max_pixels=MAX_PIXELS)

    def sampler(self, batch_size=8, **options):
        return EpochSampler(len(self.dataset), batch_size, seed=self.dataset.seed, **options)

    def pillow(self, **options):
        return build_loader(self.dataset, self.sampler(**options))

    def dali(self, num_threads=2, timeout=60.0, max_decode_seconds=None, **options):
        sampler = self.sampler(**options)
        return DaliLoader(self.dataset, sampler, num_threads, timeout, max_decode_seconds=max_decode_seconds)


def arrays(loader):
    """All batches as lists of arrays."""
    return [[tensor.numpy() for tensor in batch] for batch in loader]


def indices(loader):
    return [batch[2].tolist() for batch in loader]


def assert_same_bits(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def difference(first, second):
    """Absolute difference of the pixels of two lists of batches, which must be of the same samples."""
    assert [batch[2].tolist() for batch in first] == [batch[2].tolist() for batch in second]
    assert [batch[1].tolist() for batch in first] == [batch[1].tolist() for batch in second]
    pairs = zip(first, second, strict=True)
    return np.concatenate([np.abs(one[0].astype(int) - other[0]) for one, other in pairs])
