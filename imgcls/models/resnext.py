"""ResNeXt and ResNeXt_vd (arXiv:1611.05431): ResNet with wider 3x3 convolutions in groups.

``32x4d`` stands for 32 groups of 4 channels each in the first stage.
"""

from functools import partial

from imgcls.models.resnet import DEEP_STEM, Names, ResNet


class ResNeXt(ResNet):
    """ResNet under other names."""

    names = Names(head_weight="fc_weights", head_bias="fc_offset")


_plain = partial(ResNeXt, stem={"res_conv1": 64})
_vd = partial(ResNeXt, stem=DEEP_STEM, pool_shortcut=True)

VARIANTS = {
    f"resnext{depth}{suffix}_{groups}x4d": partial(network, depth=depth, width=4 * groups, groups=groups)
    for suffix, network in (("", _plain), ("_vd", _vd))
    for depth in (50, 101, 152)
    for groups in (32, 64)
}
