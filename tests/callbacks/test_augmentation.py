"""Mixup, CutMix and random erasing as callbacks: which batches, until when, alike on any number of ranks."""

from dataclasses import replace

import numpy as np
import paddle
import pytest

from imgcls.callbacks.cutmix import CutMix
from imgcls.callbacks.mixup import Mixup
from imgcls.callbacks.random_erasing import RandomErasing
from imgcls.callbacks.viewer import first_images
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Batch, Progress, Trainer
from imgcls.functional.normalize import normalize

SIZE, CLASSES, SAMPLES, BATCH = 16, 5, 22, 8
ERASING = {"probability": 0.5, "area": (0.02, 0.4), "ratio": (0.3, 3.33), "fill": "noise"}
CALLBACKS = {
    "mixup": lambda: Mixup(1.0, stop_epoch=None),
    "cutmix": lambda: CutMix(1.0, switch_prob=1.0, stop_epoch=None),
    "erasing": lambda: RandomErasing(**ERASING),
}


def preprocess(images):
    return normalize(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def make_loader():
    samples = synthetic_samples(SAMPLES, CLASSES)
    sampler = EpochSampler(len(samples), BATCH, shuffle=True, seed=3)
    return build_loader(SyntheticDataset(samples, SIZE, seed=1), sampler)


def make_trainer(step: int = 0, batch: int = 16, seed: int = 5) -> Trainer:
    trainer = Trainer(paddle.nn.Linear(2, 2), preprocess, seed=seed)
    trainer.progress = Progress(step=step)
    trainer.global_batch_size = batch
    return trainer


def make_batch(size: int = 16, rank: int = 0, ranks: int = 1) -> Batch:
    """A rank's part of a batch whose images have one colour each, the colour being the label."""
    labels = np.arange(1, size + 1)
    images = np.broadcast_to(labels.reshape(-1, 1, 1, 1), (size, 3, 12, 14)).astype("float32")
    own = np.s_[min(rank, size - 1) :: ranks]
    tensors = [paddle.to_tensor(np.ascontiguousarray(array[own])) for array in (images, labels, labels)]
    return Batch(*tensors, global_size=size, rank=rank, ranks=ranks)


def changed(callbacks: list[Callback], batch: Batch, step: int = 0, seed: int = 5) -> Batch:
    trainer = make_trainer(step, seed=seed)
    for callback in callbacks:
        callback.set_model(trainer)
        batch = callback.on_batch(batch)
    return batch


def is_cut(batch: Batch) -> bool:
    """Cut images show whole pixels of two images, or of one if the cut is empty; blended ones a colour of their own."""
    return set(np.unique(batch.images.numpy()[0])) <= {batch.labels[0].item(), batch.partner_labels[0].item()}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_each_batch_is_mixed_once(share):
    """With both on, every batch is one's or the other's; ``switch_prob`` of them are CutMix's."""
    steps, cut = 300, 0
    for step in range(steps):
        batch = changed([CutMix(1.0, share, None), Mixup(1.0, None)], make_batch(), step)
        assert batch.partner_labels is not None
        own, partner = batch.labels.numpy(), batch.partner_labels.numpy()
        means = batch.images.numpy().mean(axis=(1, 2, 3))
        np.testing.assert_allclose(means, batch.lam * own + (1 - batch.lam) * partner, rtol=1e-4)
        cut += is_cut(batch)
    assert cut / steps == pytest.approx(share, abs=0.08)


def test_cutmix_alone_leaves_the_other_batches_plain():
    plain, cut = 0, 0
    for step in range(300):
        before = make_batch()
        batch = changed([CutMix(1.0, 0.5, None)], before, step)
        plain += batch is before
        cut += batch.partner_labels is not None
    assert plain + cut == 300
    assert cut == pytest.approx(150, abs=30)


def test_who_mixes_says_nothing_about_how():
    """The share of mixup's batches follows the Beta distribution whether or not CutMix took some."""
    alone, beside = [], []
    for step in range(400):
        alone.append(changed([Mixup(1.0, None)], make_batch(), step).lam)
        batch = changed([CutMix(1.0, 0.5, None), Mixup(1.0, None)], make_batch(), step)
        if not is_cut(batch):
            beside.append(batch.lam)
            assert batch.lam == alone[-1]
    for shares in (alone, beside):
        assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
        assert np.var(shares) == pytest.approx(1 / 12, abs=0.015)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_step_and_a_seed_decide_everything(name):
    def images(step, seed):
        return changed([CALLBACKS[name]()], make_batch(), step, seed).images.numpy()

    assert (images(3, 5) == images(3, 5)).all()
    assert (images(3, 5) != images(4, 5)).any()
    assert (images(3, 5) != images(3, 6)).any()


@pytest.mark.parametrize("size", [16, 6])
@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("name", CALLBACKS)
def test_the_number_of_ranks_changes_nothing(name, ranks, size):
    """An incomplete last batch too, in which some ranks hold an image that does not count."""
    for step in range(5):
        whole = changed([CALLBACKS[name]()], make_batch(size), step)
        for rank in range(min(ranks, size)):
            part = changed([CALLBACKS[name]()], make_batch(size, rank, ranks), step)
            assert (part.images.numpy() == whole.images.numpy()[rank::ranks]).all()
            if whole.partner_labels is not None:
                assert part.lam == whole.lam
                assert (part.partner_labels.numpy() == whole.partner_labels.numpy()[rank::ranks]).all()
        for rank in range(size, ranks):
            assert len(changed([CALLBACKS[name]()], make_batch(size, rank, ranks), step)) == 1


@pytest.mark.parametrize("name", CALLBACKS)
def test_the_batch_handed_in_is_not_changed(name):
    batch = make_batch()
    before = batch.images.numpy()
    changed([CALLBACKS[name]()], batch)
    assert (batch.images.numpy() == before).all()


class Notes(Callback):
    """Comes last and notes for each batch: epoch, mixed or not."""

    def __init__(self):
        super().__init__()
        self.mixed: list[tuple[int, bool]] = []

    def on_batch(self, batch):
        self.mixed.append((self.trainer.progress.epoch + 1, batch.partner_labels is not None))
        return batch


def test_both_stop_at_an_epoch():
    notes = Notes()
    mixing = [CutMix(1.0, switch_prob=0.5, stop_epoch=3), Mixup(0.2, stop_epoch=3)]
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.1, parameters=network.parameters()))
    trainer.fit(make_loader(), 4, [*mixing, notes])
    assert len(notes.mixed) == 4 * 3
    assert {epoch for epoch, mixed in notes.mixed if mixed} == {1, 2}
    assert {epoch for epoch, mixed in notes.mixed if not mixed} == {3, 4}


def test_erasing_covers_with_noise_or_with_the_mean():
    images = paddle.full([64, 3, 40, 40], 7.0)
    batch = replace(make_batch(64), images=images)
    for fill in ("noise", "mean"):
        erased = changed([RandomErasing(**ERASING | {"area": (0.1, 0.4), "fill": fill})], batch).images.numpy()
        covered = (erased != 7).any(axis=1)
        share = covered.mean(axis=(1, 2))
        assert np.mean(share > 0) == pytest.approx(0.5, abs=0.2)
        assert 0.08 < share[share > 0].min() < share.max() < 0.42
        values = erased.transpose(0, 2, 3, 1)[covered]
        if fill == "mean":
            assert (values == 0).all()
        else:
            assert values.mean() == pytest.approx(0, abs=0.1)
            assert values.std() == pytest.approx(1, abs=0.1)


def test_nothing_to_erase_costs_nothing():
    batch = make_batch()
    assert changed([RandomErasing(**ERASING | {"probability": 0.0})], batch) is batch


@pytest.mark.parametrize("epoch", [1, 3])
def test_first_images_are_those_of_a_run(epoch):
    """Seen through the viewer, or noted in the middle of a real run."""

    class Keep(Callback):
        def __init__(self):
            super().__init__()
            self.images: list[np.ndarray] = []

        def on_batch(self, batch):
            if self.trainer.progress.epoch + 1 == epoch:
                self.images.extend(batch.images.numpy())
            return batch

    def augmentation():
        return [RandomErasing(**ERASING), CutMix(1.0, 0.3, None), Mixup(0.5, None)]

    keep = Keep()
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess, seed=5)
    trainer.prepare(paddle.optimizer.SGD(0.1, parameters=network.parameters()))
    trainer.fit(make_loader(), epoch, [*augmentation(), keep])
    seen = first_images(make_loader(), preprocess, CLASSES, augmentation(), count=13, epoch=epoch, seed=5)
    assert len(seen) == 13
    for picture, image in zip(seen, keep.images, strict=False):
        assert (picture.image == image).all()
    assert all(sum(share for _, share in picture.shares) == pytest.approx(1) for picture in seen)
    assert len(first_images(make_loader(), preprocess, CLASSES, [], count=100)) == SAMPLES
