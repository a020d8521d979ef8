"""What torchvision and timm call the layers of each family, in the order in which ours are created.

A rule takes a network of ours and gives a name for each of its convolutions, batch norms and fully connected layers;
``None`` for a layer that the peer does not have, an identity. ``name@1`` is a 1 x 1 convolution (``@7``: 7 x 7) where
ours is fully connected, ``name@fc`` is fully connected where ours is a 1 x 1 convolution.
"""

from collections.abc import Iterator

from paddle import nn

from imgcls.models.layers import ConvBNAct, Network, NormReluConv, SqueezeExcite
from imgcls.models.modern_layers import Chain

Names = Iterator[str | None]
MOBILENET_V1_REPEATS = (1, 2, 2, 6, 2)
MOBILENET_V2_REPEATS = (1, 2, 3, 4, 3, 3, 1)


def resnet(network: Network) -> Names:
    """Both peers; variants c and d and the attention of SE_ResNeXt are timm's."""
    if len(network.stem) == 1:
        yield from ("conv1", "bn1")
    else:
        yield from ("conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1")
    for stage, blocks in enumerate(network.stages, start=1):
        for index, block in enumerate(blocks):
            name = f"layer{stage}.{index}"
            for part, layer in block.branch.named_children():
                if isinstance(layer, SqueezeExcite):
                    yield from (f"{name}.se.fc1@1", f"{name}.se.fc2@1")
                else:
                    yield from (f"{name}.{part}", f"{name}.bn{part[-1]}")
            if isinstance(block.shortcut, nn.Identity):
                continue
            if stage == 1 and network.depth < 50:
                yield from (None, None)
            else:
                yield from (f"{name}.downsample.{n + network.pool_shortcut}" for n in (0, 1))
    yield "fc"


def alexnet_torchvision(network: Network) -> Names:
    yield from (f"features.{index}" for index in (0, 3, 6, 8, 10))
    yield from ("classifier.1", "classifier.4", "classifier.6")


def vgg_torchvision(network: Network) -> Names:
    yield from _vgg_features(network)
    yield from ("classifier.0", "classifier.3", "classifier.6")


def vgg_timm(network: Network) -> Names:
    yield from _vgg_features(network)
    yield from ("pre_logits.fc1@7", "pre_logits.fc2@1", "head.fc")


def _vgg_features(network: Network) -> Names:
    """Convolutions, activations and pools count alike in all of them."""
    return (f"features.{index}" for index, layer in enumerate(network.features) if isinstance(layer, nn.Conv2D))


def squeezenet_torchvision(network: Network) -> Names:
    """Its activation counts after the stem, ours does not."""
    yield "features.0"
    for index, layer in enumerate(network.features):
        if hasattr(layer, "squeeze"):
            yield from (f"features.{index + 1}.{part}" for part in ("squeeze", "expand1x1", "expand3x3"))
    yield "classifier.1"


def densenet(network: Network) -> Names:
    """Both peers."""
    yield from ("features.conv0", "features.norm0")
    block, layer = 1, 0
    for part in network.blocks:
        if isinstance(part, nn.AvgPool2D):
            block, layer = block + 1, 0
        elif isinstance(part, NormReluConv):
            yield from (f"features.transition{block}.norm", f"features.transition{block}.conv")
        else:
            layer += 1
            name = f"features.denseblock{block}.denselayer{layer}"
            yield from (f"{name}.norm1", f"{name}.conv1", f"{name}.norm2", f"{name}.conv2")
    yield from ("features.norm5", "classifier")


def mobilenet_v1_timm(network: Network) -> Names:
    yield from ("conv_stem", "bn1")
    for stage, repeat in enumerate(MOBILENET_V1_REPEATS):
        for index in range(repeat):
            yield from (f"blocks.{stage}.{index}.{part}" for part in ("conv_dw", "bn1", "conv_pw", "bn2"))
    yield "classifier"


def mobilenet_v2_timm(network: Network) -> Names:
    yield from ("conv_stem", "bn1", None, None)
    for stage, repeat in enumerate(MOBILENET_V2_REPEATS):
        parts = ("conv_dw", "bn1", "conv_pw", "bn2")
        if stage > 0:
            parts = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        for index in range(repeat):
            yield from (f"blocks.{stage}.{index}.{part}" for part in parts)
    yield from ("conv_head", "bn2", "classifier")


def mobilenet_v2_torchvision(network: Network) -> Names:
    yield from ("features.0.0", "features.0.1", None, None)
    last = sum(MOBILENET_V2_REPEATS)
    for index in range(1, last + 1):
        parts = ("0.0", "0.1", "1", "2") if index == 1 else ("0.0", "0.1", "1.0", "1.1", "2", "3")
        yield from (f"features.{index}.conv.{part}" for part in parts)
    yield from (f"features.{last + 1}.0", f"features.{last + 1}.1", "classifier.1")


def mobilenet_v3_torchvision(network: Network) -> Names:
    """Of ours that are timm's."""
    yield from ("features.0.0", "features.0.1")
    blocks = [block for stage in network.blocks[:-1] for block in stage]
    for index, block in enumerate(blocks, start=1):
        yield from _counted(block, f"features.{index}.block")
    last = f"features.{len(blocks) + 1}"
    yield from (f"{last}.0", f"{last}.1", "classifier.0@fc", "classifier.3")


def efficientnet_v2_torchvision(network: Network) -> Names:
    yield from ("features.0.0", "features.0.1")
    for stage, blocks in enumerate(network.blocks, start=1):
        for index, block in enumerate(blocks):
            yield from _counted(block, f"features.{stage}.{index}.block")
    last = f"features.{len(network.blocks) + 1}"
    yield from (f"{last}.0", f"{last}.1", "classifier.1")


def _counted(block: Chain, name: str) -> Names:
    """Torchvision counts a block's convolutions, each with its batch norm, and its attention among them."""
    parts = [part for part in block.order if part == "se" or part.startswith("conv")]
    for number, part in enumerate(parts):
        yield from (f"{name}.{number}.{leaf}" for leaf in (("fc1", "fc2") if part == "se" else "01"))


def shufflenet_v2_torchvision(network: Network) -> Names:
    yield from ("conv1.0", "conv1.1")
    stage, index = 1, 0
    for layer in network.features:
        if not hasattr(layer, "branch"):
            continue
        if hasattr(layer, "shortcut"):
            stage, index = stage + 1, 0
            yield from (f"stage{stage}.0.branch1.{part}" for part in range(4))
        yield from (f"stage{stage}.{index}.branch2.{part}" for part in (0, 1, 3, 4, 5, 6))
        index += 1
    yield from ("conv5.0", "conv5.1", "fc")


def efficientnet_timm(network: Network) -> Names:
    yield from ("conv_stem", "bn1")
    for stage, index, block in _efficientnet_blocks(network):
        convs = [layer for layer in block.layers if isinstance(layer, ConvBNAct)]
        names = iter(("conv_dw", "conv_pw") if len(convs) == 2 else ("conv_pw", "conv_dw", "conv_pwl"))
        number = 0
        for layer in block.layers:
            if isinstance(layer, SqueezeExcite):
                yield from (f"blocks.{stage}.{index}.se.{part}" for part in ("conv_reduce", "conv_expand"))
            else:
                number += 1
                yield from (f"blocks.{stage}.{index}.{next(names)}", f"blocks.{stage}.{index}.bn{number}")
    yield from ("conv_head", "bn2", "classifier")


def efficientnet_torchvision(network: Network) -> Names:
    yield from ("features.0.0", "features.0.1")
    for stage, index, block in _efficientnet_blocks(network):
        for number, layer in enumerate(block.layers):
            parts = ("fc1", "fc2") if isinstance(layer, SqueezeExcite) else ("0", "1")
            yield from (f"features.{stage + 1}.{index}.block.{number}.{part}" for part in parts)
    yield from ("features.8.0", "features.8.1", "classifier.1")


def _efficientnet_blocks(network: Network) -> Iterator[tuple[int, int, nn.Layer]]:
    blocks = iter(network.blocks)
    for stage, repeat in enumerate(network.repeats):
        yield from ((stage, index, next(blocks)) for index in range(repeat))


def dpn_timm(network: Network) -> Names:
    yield from ("features.conv1_1.conv", "features.conv1_1.bn")
    stage, index = 1, 0
    for block in network.blocks:
        parts = ["c1x1_a", "c3x3_b", "c1x1_c"]
        if block.match is not None:
            stage, index = stage + 1, 0
            parts.insert(0, "c1x1_w_s1" if stage == 2 else "c1x1_w_s2")
        index += 1
        for part in parts:
            yield from (f"features.conv{stage}_{index}.{part}.{layer}" for layer in ("bn", "conv"))
    yield from ("features.conv5_bn_ac.bn", "classifier@1")


def darknet_timm(network: Network) -> Names:
    yield from ("stem.conv1.conv", "stem.conv1.bn")
    stage, index = -1, 0
    for layer in list(network.features)[1:]:
        if isinstance(layer, ConvBNAct):
            stage, index = stage + 1, 0
            yield from (f"stages.{stage}.conv_down.{part}" for part in ("conv", "bn"))
            continue
        for conv in ("conv1", "conv2"):
            yield from (f"stages.{stage}.blocks.{index}.{conv}.{part}" for part in ("conv", "bn"))
        index += 1
    yield "head.fc"


def hrnet_timm(network: Network) -> Names:
    yield from ("conv1", "bn1", "conv2", "bn2")
    for index, block in enumerate(network.stage1):
        yield from _hrnet_bottleneck(f"layer1.{index}", block)
    yield from ("transition1.0.0", "transition1.0.1", "transition1.1.0.0", "transition1.1.0.1")
    for number, modules in enumerate((network.stage2, network.stage3, network.stage4), start=2):
        for index, module in enumerate(modules):
            yield from _hrnet_module(f"stage{number}.{index}", module)
        if number < 4:
            yield from (f"transition{number}.{number}.0.{part}" for part in (0, 1))
    for index, block in enumerate(network.widen):
        yield from _hrnet_bottleneck(f"incre_modules.{index}.0", block)
    for index in range(len(network.down)):
        yield from (f"downsamp_modules.{index}.0", f"downsamp_modules.{index}.1")
    yield from ("final_layer.0", "final_layer.1", "classifier")


def _hrnet_module(name: str, module: nn.Layer) -> Names:
    for number, branch in enumerate(module.branches):
        for index in range(len(branch)):
            yield from (f"{name}.branches.{number}.{index}.{part}" for part in ("conv1", "bn1", "conv2", "bn2"))
    for target, fusion in enumerate(module.fusions):
        for source, convs in enumerate(fusion.down):
            for step in range(len(convs)):
                yield from (f"{name}.fuse_layers.{target}.{source}.{step}.{part}" for part in (0, 1))
        for source in range(len(fusion.up)):
            yield from (f"{name}.fuse_layers.{target}.{target + 1 + source}.{part}" for part in (0, 1))


def _hrnet_bottleneck(name: str, block: nn.Layer) -> Names:
    for number in (1, 2, 3):
        yield from (f"{name}.conv{number}", f"{name}.bn{number}")
    if not isinstance(block.shortcut, nn.Identity):
        yield from (f"{name}.downsample.0", f"{name}.downsample.1")
