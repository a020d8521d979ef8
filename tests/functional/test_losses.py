"""Losses and their gradients against the numbers of the original."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from paddle.nn import functional as F

from imgcls.functional.losses import cross_entropy, mixed_cross_entropy, with_auxiliary

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
