"""Training losses: cross entropy with smoothed labels, of mixed images, of networks with auxiliary heads.

All are float32 scalars, the mean over the batch, whatever precision the logits have and whatever
autocast is in force. None of them waits for the device.
"""

from collections.abc import Callable

import paddle
from paddle.nn import functional as F


def cross_entropy(logits: paddle.Tensor, labels: paddle.Tensor, smoothing: float = 0.0) -> paddle.Tensor:
    """Cross entropy of integer labels.

    Args:
        logits: ``[N, num_classes]``.
        labels: int64 ``[N]``.
        smoothing: share of the target moved from the label to all classes alike, the label among
            them (arXiv:1512.00567, section 7).
    """
    with paddle.amp.auto_cast(enable=False):
        return _mean_cross_entropy(logits.astype("float32"), labels, smoothing)


def mixed_cross_entropy(
    logits: paddle.Tensor,
    labels: paddle.Tensor,
    partner_labels: paddle.Tensor,
    lam: float | paddle.Tensor,
    smoothing: float = 0.0,
) -> paddle.Tensor:
    """Cross entropy of images mixed in pairs: ``lam`` of the image itself, the rest of its partner.

    The two cross entropies are means over the batch before ``lam`` weighs them, so of one ``lam``
    an image only the mean matters, as in the original.

    Args:
        labels: int64 ``[N]``.
        partner_labels: int64 ``[N]``, the labels of the images mixed in.
        lam: share of the images' own content, one number or ``[N]``.
    """
    with paddle.amp.auto_cast(enable=False):
        logits = logits.astype("float32")
        own = _mean_cross_entropy(logits, labels, smoothing)
        partner = _mean_cross_entropy(logits, partner_labels, smoothing)
        if isinstance(lam, paddle.Tensor):
            lam = lam.astype("float32").mean()
        return own * lam + partner * (1 - lam)


def mixed(
    loss: Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor],
    logits: paddle.Tensor,
    labels: paddle.Tensor,
    partner_labels: paddle.Tensor | None,
    lam: float,
) -> paddle.Tensor:
    """Any loss of float32 logits and labels; of images mixed in pairs, ``lam`` of the one and the rest of the other.

    Args:
        partner_labels: int64 ``[N]``; ``None`` where nothing is mixed.
    """
    with paddle.amp.auto_cast(enable=False):
        logits = logits.astype("float32")
        if partner_labels is None:
            return loss(logits, labels)
        return loss(logits, labels) * lam + loss(logits, partner_labels) * (1 - lam)


def with_auxiliary(
    loss_of: Callable[[paddle.Tensor], paddle.Tensor],
    outputs: paddle.Tensor | tuple[paddle.Tensor, ...],
    weight: float = 0.3,
) -> paddle.Tensor:
    """The loss of a network that may have auxiliary heads (GoogLeNet, arXiv:1409.4842, section 5).

    Args:
        loss_of: any loss of one head's logits.
        outputs: logits, or ``(main, auxiliary, ...)`` logits.
        weight: factor of each auxiliary loss.
    """
    if not isinstance(outputs, tuple | list):
        return loss_of(outputs)
    main, *auxiliary = outputs
    with paddle.amp.auto_cast(enable=False):
        return loss_of(main) + weight * sum(loss_of(logits) for logits in auxiliary)


def _mean_cross_entropy(logits: paddle.Tensor, labels: paddle.Tensor, smoothing: float) -> paddle.Tensor:
    # Paddle's own mean first looks for ignored labels on the host, which would wait for the device every step.
    return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none").mean()
