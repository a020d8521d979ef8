"""What a student is to learn from a teacher: its soft labels, and where it looks."""

import paddle
from paddle.nn import functional as F


def soft_label_loss(logits: paddle.Tensor, teacher: paddle.Tensor, temperature: float) -> paddle.Tensor:
    """Kullback-Leibler divergence of the student's softened answer from the teacher's (arXiv:1503.02531, section 2).

    The mean over the batch, times the temperature squared, so that its gradient is of one size at any temperature.

    Args:
        logits: ``[N, num_classes]``.
        teacher: likewise, without a gradient.
    """
    with paddle.amp.auto_cast(enable=False):
        own = F.log_softmax(logits.astype("float32") / temperature, axis=1)
        other = F.log_softmax(teacher.astype("float32") / temperature, axis=1)
        return (paddle.exp(other) * (other - own)).sum(axis=1).mean() * temperature**2


def attention(features: paddle.Tensor) -> paddle.Tensor:
    """Where a feature map is active: its squares, averaged over the channels, with length 1 (arXiv:1612.03928).

    Args:
        features: ``[N, C, h, w]``, of any number of channels.

    Returns:
        float32 ``[N, h, w]``.
    """
    with paddle.amp.auto_cast(enable=False):
        active = (features.astype("float32") ** 2).mean(axis=1)
        return active / (active.square().sum(axis=[1, 2], keepdim=True).sqrt() + 1e-8)


def attention_loss(own: paddle.Tensor, teacher: paddle.Tensor) -> paddle.Tensor:
    """Squared distance of two results of ``attention``, the mean over the batch.

    Args:
        own: ``[N, h, w]``.
        teacher: ``[N, H, W]``; averaged or repeated to the student's size where it has another.
    """
    with paddle.amp.auto_cast(enable=False):
        if teacher.shape[1:] != own.shape[1:]:
            resized = F.adaptive_avg_pool2d(teacher.unsqueeze(1), own.shape[1:]).squeeze(1)
            teacher = resized / (resized.square().sum(axis=[1, 2], keepdim=True).sqrt() + 1e-8)
        return (own - teacher).square().sum(axis=[1, 2]).mean()
