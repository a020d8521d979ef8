"""SE_ResNet_vd, SE_ResNeXt and SENet154 (arXiv:1709.01507): channel attention at the end of each residual branch."""

from functools import partial

from paddle import nn

from imgcls.models.layers import ConvBNAct, SqueezeExcite
from imgcls.models.resnet import DEEP_STEM, Names, ResNet

REDUCTION = 16


class SEResNet(ResNet):
    """ResNet with squeeze and excitation."""

    names = Names(head_weight="fc6_weights", head_bias="fc6_offset")

    def make_branch(self, in_channels: int, width: int, out_channels: int, stride: int, block: str) -> nn.Sequential:
        branch = super().make_branch(in_channels, width, out_channels, stride, block)
        prefix = self.attention_prefix(block)
        attention = SqueezeExcite(
            out_channels, out_channels // REDUCTION, squeeze=f"{prefix}sqz", excite=f"{prefix}exc"
        )
        branch.add_sublayer("attention", attention)
        return branch

    def attention_prefix(self, block: str) -> str:
        return f"fc_{block}"


class SEResNeXt(SEResNet):
    """The same under other names: blocks ``conv2_1``, ``conv2_2``, ..., batch norm ``conv2_1_x1_bn``.

    With 152 layers they begin at ``conv4_1``: the convolutions of the stem count as 1 to 3.
    """

    names = Names("x1", "x2", "x3", "prj", "fc6_weights", "fc6_offset")

    def make_conv(self, in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
        return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", **options)

    def block_prefix(self, stage: int, index: int) -> str:
        first = 4 if self.depth == 152 else 2
        return f"conv{first + stage}_{index + 1}_"

    def attention_prefix(self, block: str) -> str:
        return block.replace("conv", "fc")


_next = partial(SEResNeXt, width=128, groups=32)
_wide_stem = {"conv1_1": 64, "conv1_2": 64, "conv1_3": 128}

VARIANTS = {
    **{
        f"se_resnet{depth}_vd": partial(SEResNet, depth=depth, stem=DEEP_STEM, pool_shortcut=True)
        for depth in (18, 34, 50, 101, 152, 200)
    },
    **{f"se_resnext{depth}_32x4d": partial(_next, depth=depth, dropout=0.5) for depth in (50, 101)},
    **{
        f"se_resnext{depth}_vd_32x4d": partial(_next, depth=depth, stem=_wide_stem, pool_shortcut=True)
        for depth in (50, 101)
    },
    # Called 32x4d, yet it has 64 groups of 2 channels.
    "se_resnext152_32x4d": partial(
        SEResNeXt, depth=152, stem={"conv1": 64, "conv2": 64, "conv3": 128}, width=128, groups=64, dropout=0.5
    ),
    "senet154_vd": partial(
        SEResNeXt, depth=152, stem=_wide_stem, width=256, groups=64, pool_shortcut=True, dropout=0.2
    ),
}
