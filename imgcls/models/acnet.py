"""ResNet with asymmetric convolutions (ACNet, arXiv:1908.03930), in training and in deploy form.

In training each kernel larger than 1x1 has a vertical and a horizontal one beside it. Everything is
linear up to the activation, so after training the three add up to one convolution with a bias.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import paddle
from paddle import nn

from imgcls.errors import UserError
from imgcls.models.layers import ACTIVATIONS, BatchNormNames, batch_norm, conv2d
from imgcls.models.resnet import ResNet, batch_norm_name

EPSILON = 1e-5
SQUARE, VERTICAL, HORIZONTAL = "acsquare", "acver", "achor"


class AsymmetricConv(nn.Layer):
    """k x k, k x 1 and 1 x k convolutions of the same input, a batch norm each; their sum, activated."""

    def __init__(self, in_channels: int, out_channels: int, k: int, name: str, act: str | None = "relu", **options):
        super().__init__()
        bn = batch_norm_name(name)
        self.square = conv2d(in_channels, out_channels, k, weight=f"{name}_{SQUARE}_weights", **options)
        self.vertical = conv2d(in_channels, out_channels, (k, 1), weight=f"{name}_{VERTICAL}_weights", **options)
        self.horizontal = conv2d(in_channels, out_channels, (1, k), weight=f"{name}_{HORIZONTAL}_weights", **options)
        self.square_bn = batch_norm(out_channels, f"{bn}_{SQUARE}", epsilon=EPSILON)
        self.vertical_bn = batch_norm(out_channels, f"{bn}_{VERTICAL}", epsilon=EPSILON)
        self.horizontal_bn = batch_norm(out_channels, f"{bn}_{HORIZONTAL}", epsilon=EPSILON)
        self.act = ACTIVATIONS[act]()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        cross = self.vertical_bn(self.vertical(x)) + self.horizontal_bn(self.horizontal(x))
        return self.act(self.square_bn(self.square(x)) + cross)


class ACNet(ResNet):
    """ResNet whose convolutions larger than 1x1 are asymmetric.

    Args:
        depth: a key of ``resnet.REPEATS``.
        deploy: build the form that has one convolution with a bias in place of the three; ``fuse``
            makes its weights.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    def __init__(
        self, depth: int, deploy: bool = False, dropout: float = 0.0, num_classes: int = 1000, in_channels: int = 3
    ):
        self.deploy = deploy  # set first: ResNet calls make_conv while it initialises
        super().__init__(depth, dropout=dropout, num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels

    def make_conv(self, in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> nn.Layer:
        if kernel_size == 1:
            return super().make_conv(in_channels, out_channels, kernel_size, name, **options)
        if not self.deploy:
            return AsymmetricConv(in_channels, out_channels, kernel_size, name, **options)
        act = ACTIVATIONS[options.pop("act", "relu")]()
        weight, bias = f"{name}_{SQUARE}_weights", f"{name}_{SQUARE}_bias"
        return nn.Sequential(conv2d(in_channels, out_channels, kernel_size, weight=weight, bias=bias, **options), act)

    def to_deploy(self) -> "ACNet":
        """The deploy form of this network with its weights fused, in evaluation mode.

        Raises:
            UserError: this is the deploy form already.
        """
        weights = fuse({tensor.name: tensor.numpy() for tensor in self.state_dict().values()})
        classes = self.head.weight.shape[1]
        network = ACNet(self.depth, deploy=True, num_classes=classes, in_channels=self.in_channels)
        for tensor in network.state_dict().values():
            tensor.set_value(weights[tensor.name])
        network.set_data_format(self.data_format)
        network.eval()
        return network


def fuse(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of the deploy form from those of the training form, both by fluid name.

    Layers that are the same in both forms keep their weights.

    Raises:
        UserError: a square kernel has no vertical one beside it.
    """
    fused = {}
    for name, weight in state.items():
        conv, square, _ = name.partition(f"_{SQUARE}_weights")
        if square:
            if f"{conv}_{VERTICAL}_weights" not in state:
                raise UserError(
                    f"There is {name} but no {conv}_{VERTICAL}_weights: these weights are fused already. "
                    "They belong into the network built with deploy=True."
                )
            fused[name], fused[f"{conv}_{SQUARE}_bias"] = fuse_convs(state, conv)
        elif not any(f"_{arm}_" in name for arm in (SQUARE, VERTICAL, HORIZONTAL)):
            fused[name] = weight
    return fused


def fuse_convs(state: Mapping[str, np.ndarray], conv: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``[out, in, k, k]`` and bias ``[out]`` equal to three convolutions, each with its batch norm."""
    kernels, biases = [], []
    for arm in (SQUARE, VERTICAL, HORIZONTAL):
        bn = BatchNormNames.of(f"{batch_norm_name(conv)}_{arm}")
        scale, offset, mean, variance = (np.asarray(state[name]) for name in bn)
        factor = scale / np.sqrt(variance + EPSILON)
        kernels.append(np.asarray(state[f"{conv}_{arm}_weights"]) * factor[:, None, None, None])
        biases.append(offset - mean * factor)
    kernel, vertical, horizontal = kernels
    middle = kernel.shape[2] // 2
    kernel[:, :, :, middle] += vertical[:, :, :, 0]
    kernel[:, :, middle, :] += horizontal[:, :, 0, :]
    return kernel, sum(biases)


VARIANTS = {f"resnet{depth}_acnet": partial(ACNet, depth=depth) for depth in (18, 34, 50, 101, 152)}
