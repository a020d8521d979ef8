"""Mixing the images of a batch in pairs: mixup and CutMix, on the device the images are on.

All chance comes from the generator handed in, so the same generator state gives the same batch.
``imgcls.functional.losses.mixed_cross_entropy`` is the loss that belongs to the result.
"""

from typing import NamedTuple

import numpy as np
import paddle


class Mixed(NamedTuple):
    """A mixed batch: ``images`` hold ``lam`` of their own content, the rest is of ``partner_labels``."""

    images: paddle.Tensor
    partner_labels: paddle.Tensor
    lam: float


@paddle.no_grad()
def mixup(
    images: paddle.Tensor,
    labels: paddle.Tensor,
    alpha: float,
    rng: np.random.Generator,
    partners: np.ndarray | None = None,
) -> Mixed:
    """Blend each image with another of the batch (arXiv:1710.09412).

    Args:
        images: ``[N, ...]``; the result is float32 if they are integers.
        labels: int64 ``[N]``.
        alpha: one share for the batch is drawn from ``Beta(alpha, alpha)``; 0 mixes nothing.
        partners: index of the image to blend each with; a random permutation when left out.
    """
    if alpha <= 0:
        return Mixed(images, labels, 1.0)
    lam = float(rng.beta(alpha, alpha))
    partners = _partners(images, rng, partners)
    mixed = images * lam + paddle.gather(images, partners) * (1 - lam)
    return Mixed(mixed, paddle.gather(labels, partners), lam)


@paddle.no_grad()
def cutmix(
    images: paddle.Tensor,
    labels: paddle.Tensor,
    alpha: float,
    rng: np.random.Generator,
    partners: np.ndarray | None = None,
) -> Mixed:
    """Paste one rectangle of another image of the batch over each image (arXiv:1905.04899).

    The rectangle has the image's shape, a centre anywhere in it, and is cut off at the edges;
    ``lam`` is the share of pixels that stay.

    Args:
        images: ``[N, C, H, W]``.
        labels: int64 ``[N]``.
        alpha: the share to keep, before cutting, is drawn from ``Beta(alpha, alpha)``; 0 mixes nothing.
        partners: index of the image to paste from for each; a random permutation when left out.
    """
    if alpha <= 0:
        return Mixed(images, labels, 1.0)
    side = float(np.sqrt(1 - rng.beta(alpha, alpha)))
    partners = _partners(images, rng, partners)
    height, width = images.shape[2:]
    rows = _stretch(height, side, rng)
    columns = _stretch(width, side, rng)
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    mixed = images
    if area:
        mixed = images.clone()
        mixed[:, :, rows, columns] = paddle.gather(images[:, :, rows, columns], partners)
    return Mixed(mixed, paddle.gather(labels, partners), 1 - area / (height * width))


def partners_in_groups(size: int, groups: int, rng: np.random.Generator, rank: int = 0, ranks: int = 1) -> np.ndarray:
    """Partners that do not depend on how many processes share a batch.

    A batch is dealt out to ``groups`` like cards: image ``i`` goes to group ``i % groups``. Within
    its group, an image's partner is the one a random number of places on. Ranks are dealt the batch
    likewise, so partners are on the same rank if ``ranks`` divides ``groups``. Images of a shuffled
    epoch meet at random either way.

    Args:
        size: images in the batch, over all ranks.

    Returns:
        int64 indices into this rank's part of the batch; an image alone in its group has itself.
    """
    position = np.arange(rank, max(size, rank + 1), ranks)
    group, place = position % groups, position // groups
    members = np.maximum(1, -((group - size) // groups))
    shift = 1 + rng.integers(2**31) % np.maximum(1, members - 1)
    return ((place + shift) % members * groups + group) // ranks


def _partners(images: paddle.Tensor, rng: np.random.Generator, partners: np.ndarray | None) -> paddle.Tensor:
    indices = rng.permutation(images.shape[0]) if partners is None else partners
    return paddle.to_tensor(indices, place=images.place)


def _stretch(length: int, share: float, rng: np.random.Generator) -> slice:
    """A random ``share`` of ``range(length)``, cut off at its ends."""
    half = int(length * share) // 2
    centre = int(rng.integers(length))
    return slice(max(centre - half, 0), min(centre + half, length))
