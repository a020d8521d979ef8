"""What a network is shown at the start of an epoch, seen through a training step that learns nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn

from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Progress, Trainer


@dataclass(frozen=True)
class ShownImage:
    """One image as a network has it.

    ``image`` is normalised float32 ``[C, H, W]``, ``index`` its number in the data set; ``shares``
    are labels and how much of the image each stands for.
    """

    image: np.ndarray
    index: int
    shares: tuple[tuple[int, float], ...]


class Viewer(Callback):
    """Keeps the first ``count`` images and then ends the run; comes after what changes batches."""

    def __init__(self, count: int):
        super().__init__()
        self.count = count
        self.seen: list[ShownImage] = []

    def on_batch(self, batch):
        shares = [((label, 1.0),) for label in batch.labels.tolist()]
        if batch.partner_labels is not None:
            pairs = zip(batch.labels.tolist(), batch.partner_labels.tolist(), strict=True)
            shares = [((label, batch.lam), (partner, 1 - batch.lam)) for label, partner in pairs]
        images = batch.images.astype("float32").numpy()
        self.seen = [*self.seen, *map(ShownImage, images, batch.indices.tolist(), shares)][: self.count]
        self.trainer.stop_training = len(self.seen) == self.count
        return batch


def first_images(
    loader: Iterable,
    preprocess: Callable[[paddle.Tensor], paddle.Tensor],
    num_classes: int,
    callbacks: Sequence[Callback],
    count: int,
    epoch: int = 1,
    seed: int = 0,
    channels: int = 3,
) -> list[ShownImage]:
    """The first images of an epoch, as a run with the same loader, callbacks and seed shows them to its network.

    Args:
        callbacks: those that change no batch are left out.
        count: how many images; an epoch may have fewer.
        epoch: counted from 1.
        channels: of an image.
    """
    network = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(channels, num_classes))
    trainer = Trainer(network, preprocess, seed=seed)
    trainer.prepare(paddle.optimizer.SGD(0.0, parameters=network.parameters()))
    trainer.progress = Progress(epoch=epoch - 1, step=(epoch - 1) * len(loader))
    viewer = Viewer(count)
    changing = [callback for callback in callbacks if type(callback).on_batch is not Callback.on_batch]
    trainer.fit(loader, epoch, [*changing, viewer])
    return viewer.seen
