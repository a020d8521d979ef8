"""What a student learns from a teacher, against the formulas."""

import numpy as np
import paddle
import pytest

from imgcls.engine.batch import Batch, Lesson, batch_loss
from imgcls.functional.distillation import attention, attention_loss, soft_label_loss
from imgcls.functional.losses import cross_entropy


def softmax(values):
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (6, 4)).astype("float32"), rng.normal(0, 3, (6, 4)).astype("float32")


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_labels_are_their_formula(answers, temperature):
    own, other = (softmax(one.astype("float64") / temperature) for one in answers)
    expected = temperature**2 * (other * np.log(other / own)).sum(axis=1).mean()
    student = paddle.to_tensor(answers[0], stop_gradient=False)
    loss = soft_label_loss(student, paddle.to_tensor(answers[1]), temperature)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-4)
    loss.backward()
    np.testing.assert_allclose(student.grad.numpy(), temperature * (own - other) / 6, rtol=1e-3, atol=1e-6)
    assert float(soft_label_loss(student, student.detach(), temperature)) == pytest.approx(0, abs=1e-6)


def test_attention_knows_neither_channels_nor_scale():
    rng = np.random.default_rng(0)
    maps = paddle.to_tensor(rng.normal(size=(3, 8, 4, 4)), "float32")
    one = attention(maps)
    np.testing.assert_allclose((one.numpy() ** 2).sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(attention(paddle.concat([maps * 5, maps * 5], axis=1)).numpy(), one.numpy(), rtol=1e-4)
    assert float(attention_loss(one, one)) == 0
    expected = ((one.numpy()[0] - one.numpy()[1]) ** 2).sum()
    np.testing.assert_allclose(float(attention_loss(one[:1], one[1:2])), expected, rtol=1e-5)
    assert np.isfinite(float(attention_loss(one, attention(paddle.zeros([3, 2, 8, 8])))))


@pytest.mark.parametrize(("alpha", "weight"), [(0.3, 0.0), (1.0, 0.0), (0.3, 2.0)])
def test_parts_of_a_lesson_are_the_whole(answers, alpha, weight):
    """Computed in parts, a batch has the loss of the whole; at alpha 1 labels that mean nothing are not looked at."""
    logits, teacher = map(paddle.to_tensor, answers)
    labels = paddle.to_tensor([0, 1, 2, 3, 0, 1] if alpha < 1 else [99] * 6)
    maps = attention(
        paddle.to_tensor(np.random.default_rng(1).normal(size=(2, 6, 3, 4, 4)), "float32").reshape([12, 3, 4, 4])
    )
    own, other = maps[:6], maps[6:]
    current = []
    lesson = Lesson(teacher, 2.0, alpha, other if weight else None, weight, lambda: current[-1])
    batch = Batch(paddle.arange(6), labels, paddle.arange(6), 6, lesson=lesson)
    total = 0.0
    for part, share in batch.split(4):
        indices = part.images
        current.append(paddle.gather(own, indices))
        total += share * float(batch_loss(paddle.gather(logits, indices), part))
    expected = alpha * float(soft_label_loss(logits, teacher, 2.0)) + weight * float(attention_loss(own, other))
    if alpha < 1:
        expected += (1 - alpha) * float(cross_entropy(logits, labels))
    assert total == pytest.approx(expected, rel=1e-5)
