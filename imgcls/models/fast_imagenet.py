"""FastImageNet: ResNet-50 set up for a training of few epochs (fast.ai's "Imagenet in 18 minutes", 2018).

The network is ResNet-50; what differs is where training starts (each residual branch at zero, after
arXiv:1706.02677) and its weight decay.
"""

from functools import partial

from paddle import nn
from paddle.regularizer import L2Decay

from imgcls.models.layers import BatchNormNames, ConvBNAct, name_parameters
from imgcls.models.resnet import Residual, ResNet


class FastImageNet(ResNet):
    """ResNet-50 whose convolutions and last layer carry their own weight decay, in place of the optimizer's.

    Convolutions and batch norms are named by number, in order of creation.

    Args:
        weight_decay: of the convolutions and the last layer.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    def __init__(self, weight_decay: float = 1e-4, dropout: float = 0.0, num_classes: int = 1000, in_channels: int = 3):
        super().__init__(50, dropout=dropout, num_classes=num_classes, in_channels=in_channels)
        self.reset_head(num_classes)  # N(0, 0.01), which is this network's initialisation
        for block in self.sublayers():
            if isinstance(block, Residual):
                nn.initializer.Constant(0.0)(block.branch["conv3"].bn.weight)
        convs = [layer for layer in self.sublayers() if isinstance(layer, ConvBNAct)]
        for number, layer in enumerate(convs):
            bn = BatchNormNames(*(f"batch_norm_{number}.{part}" for part in ("w_0", "b_0", "w_1", "w_2")))
            name_parameters(layer.conv, weight=f"conv2d_{number}.w_0")
            name_parameters(layer.bn, weight=bn.scale, bias=bn.offset, _mean=bn.mean, _variance=bn.variance)
        for parameter in (*(layer.conv.weight for layer in convs), self.head.weight, self.head.bias):
            parameter.regularizer = L2Decay(weight_decay)


VARIANTS = {"fastimagenet": partial(FastImageNet)}
