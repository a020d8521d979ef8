"""Losses and their gradients against the numbers of the original."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from paddle.nn import functional as F

from imgcls.functional.class_balance import balanced_weights, log_priors
from imgcls.functional.losses import cross_entropy, focal, mixed_cross_entropy, with_auxiliary

EXPECTED = json.loads((REFERENCE / "losses.json").read_text())
CASES = EXPECTED["cases"]
SMOOTHING = EXPECTED["label_smoothing_epsilon"]


def tensor(key: str, stop_gradient: bool = True) -> paddle.Tensor:
    dtype = "int64" if key.startswith("label") else "float32"
    return paddle.to_tensor(np.array(EXPECTED[key], dtype), stop_gradient=stop_gradient)


def check(loss: paddle.Tensor, case: str, **inputs: paddle.Tensor) -> None:
    """Value and gradients of one case; ``inputs`` maps the reference's gradient names to tensors."""
    loss.backward()
    close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
    assert loss.shape == []
    close(float(loss), CASES[case]["loss"])
    for name, logits in inputs.items():
        close(logits.grad.numpy(), CASES[case][f"grad_{name}"])


@pytest.mark.parametrize(
    ("case", "smoothing"),
    [("cross_entropy", 0.0), ("label_smoothing", SMOOTHING), ("validation_with_label_smoothing_flag", 0.0)],
)
def test_cross_entropy(case, smoothing):
    logits = tensor("logits", stop_gradient=False)
    check(cross_entropy(logits, tensor("label"), smoothing), case, logits=logits)


@pytest.mark.parametrize(
    ("case", "lam", "smoothing"),
    [
        ("mixup", EXPECTED["lam_same"][0], 0.0),
        ("mixup", tensor("lam_same"), 0.0),
        ("mixup_per_sample_lam", tensor("lam_per_sample"), 0.0),
        ("mixup_label_smoothing", EXPECTED["lam_same"][0], SMOOTHING),
        ("mixup_label_smoothing_per_sample_lam", tensor("lam_per_sample"), SMOOTHING),
    ],
)
def test_mixed_cross_entropy(case, lam, smoothing):
    logits = tensor("logits", stop_gradient=False)
    check(mixed_cross_entropy(logits, tensor("label"), tensor("label_b"), lam, smoothing), case, logits=logits)


@pytest.mark.parametrize("case", ["googlenet", "googlenet_with_label_smoothing_flag"])
def test_auxiliary_heads(case):
    heads = {
        "logits": tensor("logits", stop_gradient=False),
        "aux1": tensor("aux1_logits", stop_gradient=False),
        "aux2": tensor("aux2_logits", stop_gradient=False),
    }
    loss = with_auxiliary(partial(cross_entropy, labels=tensor("label")), tuple(heads.values()))
    check(loss, case, **heads)


def test_every_reference_case_is_checked():
    here = Path(__file__).read_text()
    assert [case for case in CASES if f'"{case}"' not in here] == []


def test_auxiliary_heads_take_mixing_and_smoothing():
    heads = tensor("logits"), tensor("aux1_logits"), tensor("aux2_logits")
    loss_of = partial(
        mixed_cross_entropy, labels=tensor("label"), partner_labels=tensor("label_b"), lam=0.25, smoothing=SMOOTHING
    )
    main, aux1, aux2 = (float(loss_of(logits)) for logits in heads)
    assert float(with_auxiliary(loss_of, heads)) == pytest.approx(main + 0.3 * aux1 + 0.3 * aux2, rel=1e-6)
    assert float(with_auxiliary(loss_of, heads, weight=0.0)) == pytest.approx(main, rel=1e-6)
    assert float(with_auxiliary(loss_of, heads[0])) == main


def test_lam_of_one_is_the_plain_loss():
    logits, labels = tensor("logits"), tensor("label")
    assert float(mixed_cross_entropy(logits, labels, tensor("label_b"), 1.0)) == float(cross_entropy(logits, labels))


def test_smoothing_beyond_the_label_count_of_the_reference():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 8, (32, 1000))
    labels = rng.integers(0, 1000, 32)
    log_softmax = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    expected = -(0.8 * log_softmax[np.arange(32), labels] + 0.2 * log_softmax.mean(1)).mean()
    actual = cross_entropy(paddle.to_tensor(logits.astype("float32")), paddle.to_tensor(labels), 0.2)
    assert float(actual) == pytest.approx(expected, rel=1e-6)


def all_losses(logits: paddle.Tensor, smoothing: float) -> list[paddle.Tensor]:
    rng = np.random.default_rng(0)
    labels, partner_labels = (paddle.to_tensor(rng.integers(0, 1000, len(logits))) for _ in range(2))
    lam = paddle.to_tensor(rng.random(len(logits)).astype("float32"))
    mixed = partial(mixed_cross_entropy, labels=labels, partner_labels=partner_labels, lam=lam, smoothing=smoothing)
    return [cross_entropy(logits, labels, smoothing), mixed(logits), with_auxiliary(mixed, (logits, logits))]


def some_logits() -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(1).normal(0, 8, (64, 1000)).astype("float32"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_of_low_precision_logits_are_those_of_the_same_logits_in_float32(smoothing):
    logits = some_logits().astype("bfloat16")
    losses = all_losses(logits, smoothing)
    assert [loss.dtype for loss in losses] == [paddle.float32] * 3
    assert [float(loss) for loss in losses] == [float(loss) for loss in all_losses(logits.astype("float32"), smoothing)]


@pytest.mark.skipif(not paddle.is_compiled_with_cuda(), reason="Paddle's autocast does nothing on a CPU")
@pytest.mark.parametrize("level", ["O1", "O2"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_autocast_does_not_reach_the_losses(level, smoothing):
    expected = [float(loss) for loss in all_losses(some_logits(), smoothing)]
    with paddle.amp.auto_cast(level=level):
        losses = all_losses(some_logits(), smoothing)
    assert [loss.dtype for loss in losses] == [paddle.float32] * 3
    assert [float(loss) for loss in losses] == expected


def test_large_logits_stay_finite():
    logits = paddle.to_tensor([[1e4, -1e4, 0.0]], stop_gradient=False)
    loss = cross_entropy(logits, paddle.to_tensor([1]), 0.1)
    loss.backward()
    assert np.isfinite(float(loss))
    assert np.isfinite(logits.grad.numpy()).all()


def test_equals_the_framework_mean():
    logits, labels = tensor("logits"), tensor("label")
    assert float(cross_entropy(logits, labels)) == float(F.cross_entropy(logits, labels))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_its_formula(gamma, smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (6, 4)), rng.integers(0, 4, 6)
    weights, offsets = rng.uniform(0.5, 2, 4), np.log(rng.dirichlet(np.ones(4)))
    shares = np.exp(logits + offsets)
    shares /= shares.sum(axis=1, keepdims=True)
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(target * weights * (1 - shares) ** gamma * np.log(shares)).sum(axis=1).mean()
    options = {"class_weights": paddle.to_tensor(weights, "float32"), "offsets": paddle.to_tensor(offsets, "float32")}
    logits = paddle.to_tensor(logits, "float32", stop_gradient=False)
    loss = focal(logits, paddle.to_tensor(labels), smoothing, gamma=gamma, **options)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    loss.backward()
    assert np.isfinite(logits.grad.numpy()).all()


@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_focal_loss_without_focus_is_cross_entropy(smoothing):
    one, other = (tensor("logits", stop_gradient=False) for _ in range(2))
    focal(one, tensor("label"), smoothing).backward()
    cross_entropy(other, tensor("label"), smoothing).backward()
    np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_an_image_that_is_certain_has_a_gradient_of_zero(gamma):
    logits = paddle.to_tensor([[200.0, 0.0], [0.0, 0.0]], stop_gradient=False)
    focal(logits, paddle.to_tensor([0, 1]), gamma=gamma).backward()
    assert np.isfinite(logits.grad.numpy()).all()
    assert abs(logits.grad.numpy()[0]).max() < 1e-30


def test_weights_are_paddles():
    rng = np.random.default_rng(1)
    logits, labels = paddle.to_tensor(rng.normal(size=(8, 3)), "float32"), paddle.to_tensor(rng.integers(0, 3, 8))
    weights = paddle.to_tensor([0.5, 1.0, 3.0])
    peer = F.cross_entropy(logits, labels, weight=weights, reduction="none").mean()
    np.testing.assert_allclose(float(focal(logits, labels, class_weights=weights)), float(peer), rtol=1e-6)


def test_what_sizes_of_classes_say():
    counts = np.array([90, 9, 0, 1])
    weights = balanced_weights(counts)
    np.testing.assert_allclose(weights, [100 / 270, 100 / 27, 0, 100 / 3])
    np.testing.assert_allclose((weights * counts).sum() / counts.sum(), 1)
    np.testing.assert_allclose(np.exp(log_priors(counts)), np.array([90, 9, 1, 1]) / 101)
