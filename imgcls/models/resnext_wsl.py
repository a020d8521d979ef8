"""ResNeXt101 pre-trained on weakly labelled images (arXiv:1805.00932).

The weights came from PyTorch and kept its names. ``Fix_ResNeXt101_32x48d_wsl`` is the same network as
``ResNeXt101_32x48d_wsl``, fine-tuned for larger images (arXiv:1906.06423).
"""

from functools import partial

from imgcls.models.layers import BatchNormNames, ConvBNAct
from imgcls.models.resnet import Names, ResNet


class ResNeXtWSL(ResNet):
    """ResNet under the names of a PyTorch checkpoint."""

    names = Names("conv1", "conv2", "conv3", "downsample.0", "fc.weight", "fc.bias")

    def make_conv(self, in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
        bn = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        bn_names = BatchNormNames(f"{bn}.weight", f"{bn}.bias", f"{bn}.running_mean", f"{bn}.running_var")
        return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}.weight", bn=bn_names, **options)

    def block_prefix(self, stage: int, index: int) -> str:
        return f"layer{stage + 1}.{index}."


VARIANTS = {
    f"resnext101_32x{width}d_wsl": partial(ResNeXtWSL, depth=101, width=32 * width, groups=32)
    for width in (8, 16, 32, 48)
}
VARIANTS["fix_resnext101_32x48d_wsl"] = VARIANTS["resnext101_32x48d_wsl"]
