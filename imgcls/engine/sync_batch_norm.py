"""Batch norm whose statistics are those of the whole batch, over all ranks, in training.

On GPUs this is ``paddle.nn.SyncBatchNorm``, which has no CPU kernel and takes the batches of all
ranks for equally large; the layer here serves the CPU, and weighs them.
"""

import numpy as np
import paddle
from paddle import nn
from paddle.autograd import PyLayer

from imgcls.engine import ranks
from imgcls.machine.paddle_internals import batch_norm_parts

BATCH_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)


def synchronise_batch_norms(network: nn.Layer) -> nn.Layer:
    """Replace the batch norms of a network, their parameters and statistics kept."""
    if paddle.device.get_device() != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if isinstance(network, BATCH_NORMS):
        return SyncBatchNorm(network)
    for name, layer in network.named_children():
        network.add_sublayer(name, synchronise_batch_norms(layer))
    return network


class SyncBatchNorm(nn.Layer):
    """A batch norm with the parameters, statistics and settings of ``norm``.

    ``takes_part`` is false while this rank computes only to keep the others company, on images
    that are not counted.
    """

    def __init__(self, norm: nn.Layer):
        super().__init__()
        self.weight = norm.weight
        self.bias = norm.bias
        self.parts = batch_norm_parts(norm)
        self._mean, self._variance = self.parts.mean, self.parts.variance  # their keys in a state_dict
        self.takes_part = True

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        parts = self.parts
        if not self.training or parts.use_global_stats:
            return nn.functional.batch_norm(
                x,
                self._mean,
                self._variance,
                self.weight,
                self.bias,
                training=False,
                epsilon=parts.epsilon,
                data_format=parts.data_format,
            )
        channel = x.ndim - 1 if parts.data_format[-1] == "C" else 1
        epsilon = float(np.float32(parts.epsilon))  # as Paddle's kernel has it, also in double precision
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, epsilon, channel, self.takes_part)
        with paddle.no_grad():
            for kept, seen in ((self._mean, mean), (self._variance, variance)):
                kept.set_value(kept * parts.momentum + seen * (1 - parts.momentum))
        return y


class _Normalise(PyLayer):
    """Batch norm with statistics over all ranks; the gradient crosses the ranks the same way."""

    @staticmethod
    def forward(ctx, x, weight, bias, epsilon, channel, takes_part):
        axes = [axis for axis in range(x.ndim) if axis != channel]
        shape = [-1 if axis == channel else 1 for axis in range(x.ndim)]
        own_mean = x.mean(axes)
        own_variance = (x - own_mean.reshape(shape)).square().mean(axes)
        own_count = x.size // x.shape[channel] if takes_part else 0
        own = paddle.concat([own_mean, own_variance, paddle.full([1], own_count, x.dtype)])
        every = ranks.current().gather(own)
        means, variances, counts = paddle.split(every, [own_mean.shape[0], own_mean.shape[0], 1], axis=1)
        shares = counts / counts.sum()
        mean = (means * shares).sum(0)
        variance = ((variances + (means - mean).square()) * shares).sum(0)
        inverse = paddle.rsqrt(variance + epsilon)
        scale = inverse if weight is None else inverse * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        ctx.save_for_backward(x, mean, inverse, scale)
        ctx.layout = axes, shape, counts.sum(), takes_part, weight is not None, bias is not None
        return x * scale.reshape(shape) + shift.reshape(shape), mean, variance

    @staticmethod
    def backward(ctx, dy, dmean, dvariance):
        x, mean, inverse, scale = ctx.saved_tensor()
        axes, shape, count, takes_part, has_weight, has_bias = ctx.layout
        normalised = (x - mean.reshape(shape)) * inverse.reshape(shape)
        dbias, dweight = dy.sum(axes), (dy * normalised).sum(axes)
        sums = ranks.current().sum(paddle.concat([dbias, dweight])) / count
        dx = dy
        if takes_part:
            mean_dy, mean_dy_normalised = (part.reshape(shape) for part in paddle.split(sums, 2))
            dx = dy - mean_dy - normalised * mean_dy_normalised
        gradients = [dx * scale.reshape(shape)]
        return tuple(gradients + [dweight] * has_weight + [dbias] * has_bias)
