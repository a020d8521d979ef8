"""Mixup and CutMix: the arithmetic, the chances, and that the generator decides all of it."""

import numpy as np
import paddle
import pytest

from imgcls.functional.mixing import cutmix, mixup

MIXES = [mixup, cutmix]


def batch(size: int = 8, height: int = 10, width: int = 14):
    """Images of one colour each, the colour being the label."""
    labels = np.arange(size)
    images = np.broadcast_to(labels.reshape(-1, 1, 1, 1), (size, 3, height, width)).astype("float32")
    return paddle.to_tensor(images), paddle.to_tensor(labels)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_each_image_with_its_partner(seed):
    images, labels = batch()
    mixed, partner_labels, lam = mixup(images, labels, 0.4, np.random.default_rng(seed))
    assert 0 <= lam <= 1
    assert sorted(partner_labels.tolist()) == labels.tolist()
    expected = lam * labels.numpy() + (1 - lam) * partner_labels.numpy()
    np.testing.assert_allclose(mixed.numpy(), np.broadcast_to(expected.reshape(-1, 1, 1, 1), images.shape), rtol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_one_rectangle_of_the_partner(seed):
    images, labels = batch()
    mixed, partner_labels, lam = cutmix(images, labels, 1.0, np.random.default_rng(seed))
    assert sorted(partner_labels.tolist()) == labels.tolist()
    mixed, masks = mixed.numpy(), []
    for image, label, partner in zip(mixed, labels.tolist(), partner_labels.tolist(), strict=True):
        assert set(np.unique(image)) <= {label, partner}
        if partner != label:
            assert (1 - lam) == pytest.approx((image == partner).mean())
            masks.append(image == partner)
    assert all((mask == masks[0]).all() for mask in masks)
    rows, columns = masks[0][0].any(axis=1), masks[0][0].any(axis=0)
    assert masks[0].sum() == 3 * rows.sum() * columns.sum()
    for side in (rows, columns):
        assert np.abs(np.diff(np.pad(side.astype(int), 1))).sum() in (0, 2)


@pytest.mark.parametrize("mix", MIXES)
def test_the_generator_decides_everything(mix):
    images, labels = batch(32)
    first, again, other = (mix(images, labels, 1.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (first.images.numpy() == again.images.numpy()).all()
    assert (first.partner_labels.tolist(), first.lam) == (again.partner_labels.tolist(), again.lam)
    assert (first.partner_labels.tolist(), first.lam) != (other.partner_labels.tolist(), other.lam)


@pytest.mark.parametrize("mix", MIXES)
def test_the_batch_handed_in_is_not_changed(mix):
    images, labels = batch()
    before = images.numpy()
    mix(images, labels, 1.0, np.random.default_rng(0))
    assert (images.numpy() == before).all()


@pytest.mark.parametrize("mix", MIXES)
def test_an_alpha_of_zero_mixes_nothing_and_uses_no_chance(mix):
    images, labels = batch()
    rng = np.random.default_rng(0)
    mixed = mix(images, labels, 0.0, rng)
    assert mixed.images is images
    assert (mixed.partner_labels.tolist(), mixed.lam) == (labels.tolist(), 1.0)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("mix", MIXES)
def test_a_batch_of_one_is_its_own_partner(mix):
    images, labels = batch(1)
    mixed = mix(images, labels, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(mixed.images.numpy(), images.numpy(), rtol=1e-6)
    assert mixed.partner_labels.tolist() == labels.tolist()


def test_shares_follow_the_beta_distribution():
    images, labels = batch(2, 2, 2)
    rng = np.random.default_rng(0)
    shares = np.array([mixup(images, labels, 0.2, rng).lam for _ in range(2000)])
    variance = 1 / (4 * (2 * 0.2 + 1))
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(variance, rel=0.05)


def test_cutmix_at_the_largest_and_the_smallest_rectangle():
    class Fixed:
        """A generator whose share and centre are given."""

        def __init__(self, share):
            self.share = share

        def beta(self, *_):
            return self.share

        def permutation(self, size):
            return np.arange(size)[::-1].copy()

        def integers(self, length):
            return length // 2

    images, labels = batch(4)
    whole = cutmix(images, labels, 1.0, Fixed(0.0))
    assert (whole.images.numpy() == images.numpy()[::-1]).all()
    assert whole.lam == 0
    none = cutmix(images, labels, 1.0, Fixed(1.0))
    assert (none.images.numpy() == images.numpy()).all()
    assert none.lam == 1


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_is_kept(mix, dtype):
    images, labels = batch()
    assert mix(images.astype(dtype), labels, 1.0, np.random.default_rng(0)).images.dtype == getattr(paddle, dtype)


def test_bytes_are_mixed_without_wrapping_round():
    images, labels = batch()
    mixed, partner_labels, lam = mixup((images * 30).astype("uint8"), labels, 1.0, np.random.default_rng(1))
    expected = 30 * (lam * labels.numpy() + (1 - lam) * partner_labels.numpy())
    np.testing.assert_allclose(mixed.numpy()[:, 0, 0, 0], expected, rtol=1e-5)
