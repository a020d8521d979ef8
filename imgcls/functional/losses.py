"""Training losses: cross entropy with smoothed labels, of unequal classes, of mixed images, of auxiliary heads.

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


def focal(
    logits: paddle.Tensor,
    labels: paddle.Tensor,
    smoothing: float = 0.0,
    *,
    gamma: float = 0.0,
    class_weights: paddle.Tensor | None = None,
    offsets: paddle.Tensor | None = None,
) -> paddle.Tensor:
    """Focal loss over the softmax (arXiv:1708.02002, section 3), weighed by class; with ``gamma`` 0 cross entropy.

    The mean over the batch of ``- sum_c target_c weight_c (1 - p_c)^gamma log p_c``. Weights are not divided by
    their sum, so that a batch computed in parts has the loss of the whole.

    Args:
        logits: ``[N, num_classes]``.
        labels: int64 ``[N]``.
        smoothing: as in ``cross_entropy``.
        gamma: 0 or more.
        class_weights: float32 ``[num_classes]``.
        offsets: float32 ``[num_classes]``, added to the logits: with the logarithms of the classes' shares, the
            logit-adjusted loss (arXiv:2007.07314, equation 10).
    """
    with paddle.amp.auto_cast(enable=False):
        logits = logits.astype("float32")
        log_shares = F.log_softmax(logits if offsets is None else logits + offsets, axis=1)
        terms = -log_shares
        if gamma:
            terms = terms * paddle.clip(-paddle.expm1(log_shares), min=1e-12) ** gamma
        if class_weights is not None:
            terms = terms * class_weights
        loss = paddle.take_along_axis(terms, labels.unsqueeze(1), axis=1).mean()
        return loss if not smoothing else (1 - smoothing) * loss + smoothing * terms.mean()


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
