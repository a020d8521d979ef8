"""Which feature vectors are alike: the nearest by the cosine between them, groups of near copies, and those apart.

Exact, by numpy or faster by faiss (extra ``search``); faiss alone goes through more than ``EXACT`` pictures, part
of them for each.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

EXACT = 100_000
"""Pictures, each compared with every other: beyond, faiss looks into the parts of the space that are nearest."""

CHUNK = 256
"""Queries at a time: a row of similarities for each."""

LISTS_OF_ROOT, PROBED = 4, 32
"""Parts of the space that faiss makes, times the root of the number of pictures, and how many it looks into."""

TEMPERATURE = 0.07
"""Of the votes of neighbours."""

SEED = 0

ROUNDING = 1e-5
"""Of a cosine: where most rows have copies, nothing else would tell them from each other."""


class Neighbours(NamedTuple):
    """Of each query its nearest, the nearest first: cosines float32 ``[Q, k]``, numbers in the base int64 ``[Q, k]``.

    Where fewer were found, the number is -1 and the cosine -1.
    """

    similarities: np.ndarray
    numbers: np.ndarray


def fastest_engine() -> str:
    """Of those that are installed."""
    return "faiss" if find_spec("faiss") else "numpy"


def unit(features: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32 ``[N, D]``; a row of zeros stays one, and is like nothing."""
    features = np.asarray(features, np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)


def nearest(queries: np.ndarray, base: np.ndarray, count: int, engine: str) -> Neighbours:
    """The ``count`` rows of ``base`` nearest to each of ``queries``, both of length 1; exact.

    Args:
        engine: ``faiss`` or ``numpy``.
    """
    count = min(count, len(base))
    if engine == "faiss":
        import faiss

        index = faiss.IndexFlatIP(base.shape[1])
        index.add(np.ascontiguousarray(base))
        return Neighbours(*index.search(np.ascontiguousarray(queries), count))
    found = [_nearest(queries[start : start + CHUNK], base, count) for start in range(0, len(queries), CHUNK)]
    return Neighbours(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _nearest(queries: np.ndarray, base: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    cosines = queries @ base.T
    numbers = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(cosines, numbers, axis=1)
    order = np.lexsort((numbers, -values), axis=1)
    return tuple(np.take_along_axis(array, order, axis=1) for array in (values, numbers.astype(np.int64)))


def votes(neighbours: Neighbours, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Shares of the classes among the neighbours of each query, float32 ``[Q, num_classes]``, adding up to 1.

    A vote weighs ``exp(cosine / TEMPERATURE)`` (arXiv:1805.01978, section 3.4).

    Args:
        labels: of the rows of the base, int64.
    """
    cosines = neighbours.similarities - neighbours.similarities.max(axis=1, keepdims=True)
    weights = np.where(neighbours.numbers < 0, 0, np.exp(cosines / TEMPERATURE))
    shares = np.zeros((len(weights), num_classes))
    np.add.at(shares, (np.arange(len(weights))[:, np.newaxis], labels[neighbours.numbers]), weights)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def nearest_others(base: np.ndarray, count: int, engine: str) -> Neighbours:
    """The ``count`` rows nearest to each row of ``base``, itself left out."""
    count = min(count, len(base) - 1)
    several = _approximate(base, count + 1) if _is_large(base, engine) else nearest(base, base, count + 1, engine)
    own = several.numbers == np.arange(len(base))[:, np.newaxis]
    own[~own.any(axis=1), -1] = True  # of many copies alike, itself may be the one that was left out
    shape = len(base), count
    return Neighbours(several.similarities[~own].reshape(shape), several.numbers[~own].reshape(shape))


def is_exact(count: int, engine: str) -> bool:
    """Whether ``nearest_others`` compares each of ``count`` rows with every other."""
    return engine == "numpy" or count <= EXACT


def _is_large(base: np.ndarray, engine: str) -> bool:
    return not is_exact(len(base), engine)


def _approximate(base: np.ndarray, count: int) -> Neighbours:
    import faiss

    lists = int(LISTS_OF_ROOT * len(base) ** 0.5)
    coarse = faiss.IndexFlatIP(base.shape[1])
    index = faiss.IndexIVFFlat(coarse, base.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    some = np.random.default_rng(SEED).permutation(len(base))[: 64 * lists]
    index.train(np.ascontiguousarray(base[np.sort(some)]))
    index.add(np.ascontiguousarray(base))
    index.nprobe = PROBED
    similarities, numbers = index.search(np.ascontiguousarray(base), count)
    return Neighbours(np.where(numbers < 0, -1, similarities).astype(np.float32), numbers)


def alike(neighbours: Neighbours, least: float) -> list[tuple[int, int, float]]:
    """Pairs of rows with a cosine of ``least`` or more: both numbers, the smaller first, and the cosine."""
    rows, places = np.nonzero((neighbours.similarities >= least) & (neighbours.numbers >= 0))
    others, cosines = neighbours.numbers[rows, places], neighbours.similarities[rows, places]
    pairs = {
        (min(one, two), max(one, two)): cosine
        for one, two, cosine in zip(rows.tolist(), others.tolist(), cosines.tolist(), strict=True)
    }
    return [(*pair, pairs[pair]) for pair in sorted(pairs)]


def groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What hangs together through pairs: numbers in order, the group of the smallest number first."""
    leader: dict[int, int] = {}

    def find(number: int) -> int:
        leader.setdefault(number, number)
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for one, two in pairs:
        first, second = sorted((find(one), find(two)))
        leader[second] = first
    together: dict[int, list[int]] = {}
    for number in sorted(leader):
        together.setdefault(find(number), []).append(number)
    return list(together.values())


def apart(neighbours: Neighbours, deviations: float) -> tuple[np.ndarray, np.ndarray]:
    """How near each row is to its neighbours, and which are farther from them than is usual.

    Args:
        deviations: as many robust standard deviations (1.4826 times the median absolute deviation) below the median.

    Returns:
        The mean cosine to its neighbours, float32 ``[N]``; numbers of the far ones, the farthest first.
    """
    nearness = neighbours.similarities.mean(axis=1)
    middle = np.median(nearness)
    limit = middle - max(deviations * 1.4826 * np.median(np.abs(nearness - middle)), ROUNDING)
    order = np.argsort(nearness, kind="stable")
    return nearness, order[nearness[order] < limit]
