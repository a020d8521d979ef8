"""What the sizes of classes say to a loss and to the order of an epoch; plain NumPy."""

import numpy as np


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """A weight for each class, in inverse proportion to its size; their mean over the samples is 1.

    Args:
        counts: samples of each class, ``[num_classes]``.

    Returns:
        float64 ``[num_classes]``; 0 for a class without a sample.
    """
    counts = np.asarray(counts, np.float64)
    present = counts > 0
    weights = np.zeros_like(counts)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def log_priors(counts: np.ndarray) -> np.ndarray:
    """The logarithm of each class's share of the samples, float64 ``[num_classes]``; an empty class counts as one."""
    counts = np.maximum(np.asarray(counts, np.float64), 1)
    return np.log(counts / counts.sum())


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Sample numbers of an epoch in which all classes are equally frequent, a function of seed and epoch.

    The draws of all epochs go round the classes in turn, so that an epoch has as many entries as there are
    samples, and of each class the same number or one more. A class with no more samples than draws is gone
    through as often as it takes, each time in another order; of a larger one every epoch takes up where the
    one before has ended, so that none of its samples is left out for long.

    Args:
        labels: int ``[N]``; classes that do not occur are left out.

    Returns:
        int64 ``[N]``.
    """
    size = len(labels)
    grouped = np.argsort(labels, kind="stable")
    classes, starts, counts = np.unique(np.asarray(labels)[grouped], return_index=True, return_counts=True)
    first, end = epoch * size, (epoch + 1) * size
    drawn = []
    for place, (name, start, count) in enumerate(zip(classes.tolist(), starts, counts, strict=True)):
        begin, stop = (-((place - bound) // len(classes)) for bound in (first, end))
        if stop > begin:
            members = grouped[start : start + count]
            drawn.append(members[_draws(count, begin, stop, [seed, 1, name], epoch)])
    order = np.concatenate(drawn)
    return order[np.random.default_rng([seed, epoch]).permutation(size)]


def _draws(count: int, begin: int, stop: int, seed: list[int], epoch: int) -> np.ndarray:
    """The draws ``begin`` to ``stop`` of a class, as places among its ``count`` samples."""
    if count <= stop - begin:
        rounds = -(-(stop - begin) // count)
        order = np.random.default_rng([*seed, epoch]).random((rounds, count)).argsort(axis=1, kind="stable")
        return order.ravel()[: stop - begin]
    rounds = range(begin // count, (stop - 1) // count + 1)
    order = np.concatenate([np.random.default_rng([*seed, number]).permutation(count) for number in rounds])
    return order[begin - rounds.start * count : stop - rounds.start * count]
