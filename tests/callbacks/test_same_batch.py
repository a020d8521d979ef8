"""The same images at every update, across epochs and a resume."""

import numpy as np
import paddle
import pytest
from test_augmentation import CLASSES, make_loader, preprocess

from imgcls.callbacks.checkpoint import Checkpoint, restore
from imgcls.callbacks.max_steps import MaxSteps
from imgcls.callbacks.same_batch import SameBatch
from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Trainer


class Seen(Callback):
    """Every batch that reaches the network: sample numbers, sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_batch(self, batch):
        assert batch.global_size == len(batch)
        self.batches.append((batch.indices.tolist(), batch.labels.tolist(), float(batch.images.sum())))
        return batch


def trainer_and_seen():
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()))
    return trainer, Seen()


@pytest.mark.parametrize("count", [1, 5, 8])
def test_every_update_sees_the_first_images_of_epoch_0(count):
    trainer, seen = trainer_and_seen()
    trainer.fit(make_loader(), 2, [SameBatch(count), seen])
    assert len(seen.batches) == 6
    assert all(batch == seen.batches[0] for batch in seen.batches)
    assert seen.batches[0][0] == make_loader().batch_sampler.order(0)[:count].tolist()
    assert trainer.totals.samples == 3 * count


def test_a_resumed_run_goes_on_with_the_same_images(tmp_path):
    trainer, before = trainer_and_seen()
    trainer.fit(
        make_loader(),
        1,
        [SameBatch(5), before, MaxSteps(2), Checkpoint(tmp_path, every=1, every_steps=0, keep=2, monitor="top1")],
    )
    trainer, after = trainer_and_seen()
    callbacks = [SameBatch(5), after]
    restore((tmp_path / "last").resolve(), trainer, callbacks)
    trainer.fit(make_loader(), 2, callbacks)
    assert len(after.batches) == 4
    assert all(batch[:2] == before.batches[0][:2] for batch in after.batches)
    np.testing.assert_allclose([batch[2] for batch in after.batches], before.batches[0][2], rtol=1e-6)
