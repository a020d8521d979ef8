"""The same few images at every update: a network that cannot learn these by heart has a bug."""

from dataclasses import replace

import paddle

from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Batch


class SameBatch(Callback):
    """Keeps the first images of the run, as augmented then, and puts them in the place of every batch.

    They are part of a checkpoint, so that a resumed run goes on with the same ones. Comes before what
    changes batches. For one process.

    Args:
        count: how many images; at most a batch.
    """

    def __init__(self, count: int):
        super().__init__()
        self.count = count
        self.kept: Batch | None = None

    def on_batch(self, batch):
        if self.kept is None:
            images, labels, indices = (t[: self.count] for t in (batch.images, batch.labels, batch.indices))
            self.kept = replace(batch, images=images, labels=labels, indices=indices, global_size=images.shape[0])
        return self.kept

    def tensors(self):
        if self.kept is None:
            return {}
        return {"images": self.kept.images, "labels": self.kept.labels, "indices": self.kept.indices}

    def load_tensors(self, tensors):
        images, labels, indices = (paddle.to_tensor(tensors[key]) for key in ("images", "labels", "indices"))
        self.kept = Batch(images, labels, indices, global_size=images.shape[0])
