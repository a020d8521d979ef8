"""A training batch as callbacks see it, its parts, and its loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import paddle

from imgcls.functional.losses import cross_entropy, mixed, mixed_cross_entropy, with_auxiliary


@dataclass(frozen=True)
class Batch:
    """This rank's part of one training batch, on the device, as callbacks see it.

    ``images`` are normalised ``[N, C, H, W]``; ``indices`` the samples' numbers in the data set.
    Mixed batches have ``partner_labels`` and ``lam``, the share of ``labels``. Image ``i`` here is
    number ``i * ranks + rank`` of the ``global_size`` images of the batch; a rank for which none is
    left holds one all the same, which does not count.
    """

    images: paddle.Tensor
    labels: paddle.Tensor
    indices: paddle.Tensor
    global_size: int
    rank: int = 0
    ranks: int = 1
    partner_labels: paddle.Tensor | None = None
    lam: float = 1.0
    smoothing: float = 0.0

    def __len__(self) -> int:
        return self.images.shape[0]

    def split(self, parts: int) -> Iterator[tuple["Batch", float]]:
        """This rank's share of consecutive parts of the whole batch, of nearly equal size.

        Yields:
            A part and the weight of its mean loss, such that the mean over the ranks of the sums of
            weighted losses is the mean over the whole batch; 0 for a part without an image here.
        """
        if parts == 1 and self.ranks == 1:
            yield self, 1.0
            return
        bounds = np.linspace(0, self.global_size, min(parts, self.global_size) + 1).astype(int)
        own = -((self.rank - bounds) // self.ranks)  # of the images from a bound on, the first on this rank
        for start, stop in zip(own[:-1].tolist(), own[1:].tolist(), strict=True):
            part = slice(start, stop) if stop > start else slice(0, 1)
            partner = None if self.partner_labels is None else self.partner_labels[part]
            yield (
                replace(
                    self,
                    images=self.images[part],
                    labels=self.labels[part],
                    indices=self.indices[part],
                    partner_labels=partner,
                ),
                (stop - start) * self.ranks / self.global_size,
            )


Loss = Callable[..., paddle.Tensor]
"""From logits ``[N, num_classes]`` and labels ``[N]`` to the mean over the batch, a scalar.

It is given ``smoothing`` as well where a batch has some.
"""


def batch_loss(
    outputs: paddle.Tensor | tuple[paddle.Tensor, ...], batch: Batch, loss: Loss | None = None
) -> paddle.Tensor:
    """Mean loss of a batch, mixed as it says; auxiliary heads add 0.3 of theirs.

    Args:
        loss: in place of cross entropy, which is smoothed as the batch says.
    """

    def loss_of(logits: paddle.Tensor) -> paddle.Tensor:
        if loss is not None:
            smoothed = partial(loss, smoothing=batch.smoothing) if batch.smoothing else loss
            return mixed(smoothed, logits, batch.labels, batch.partner_labels, batch.lam)
        if batch.partner_labels is None:
            return cross_entropy(logits, batch.labels, batch.smoothing)
        return mixed_cross_entropy(logits, batch.labels, batch.partner_labels, batch.lam, batch.smoothing)

    return with_auxiliary(loss_of, outputs) if isinstance(outputs, list | tuple) else loss_of(outputs)
