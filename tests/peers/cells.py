"""Every network of another library whose weights are exactly ours: peer, its name, ours, our arguments, image side."""

VGG = {"bias": True}


def cells():
    yield from (("torchvision", f"resnet{depth}", f"resnet{depth}", {}, 64) for depth in (18, 34, 50, 101, 152))
    yield from (("timm", f"resnet{depth}", f"resnet{depth}", {}, 64) for depth in (18, 34, 50, 101, 152))
    yield from (("timm", f"resnet{depth}c", f"resnet{depth}_vc", {}, 64) for depth in (50, 101, 152))
    yield from (("timm", f"resnet{depth}d", f"resnet{depth}_vd", {}, 65) for depth in (18, 34, 50, 101, 152))
    yield "torchvision", "resnext50_32x4d", "resnext50_32x4d", {}, 64
    yield "torchvision", "resnext101_64x4d", "resnext101_64x4d", {}, 64
    yield "torchvision", "resnext101_32x8d", "resnext101_32x8d_wsl", {}, 64
    yield "timm", "resnext50_32x4d", "resnext50_32x4d", {}, 64
    yield "timm", "resnext101_32x4d", "resnext101_32x4d", {}, 64
    yield "timm", "resnext101_64x4d", "resnext101_64x4d", {}, 64
    yield "timm", "resnext101_32x8d", "resnext101_32x8d_wsl", {}, 64
    yield "timm", "resnext101_32x16d", "resnext101_32x16d_wsl", {}, 64
    yield "timm", "resnext50d_32x4d", "resnext50_vd_32x4d", {}, 64
    yield "timm", "seresnext50_32x4d", "se_resnext50_32x4d", {}, 64
    yield "timm", "seresnext101_32x4d", "se_resnext101_32x4d", {}, 64
    yield "torchvision", "alexnet", "alexnet", {}, 224
    for depth in (11, 13, 16, 19):
        yield "torchvision", f"vgg{depth}", f"vgg{depth}", VGG, 224
        yield "timm", f"vgg{depth}", f"vgg{depth}", VGG, 224
    yield "torchvision", "squeezenet1_0", "squeezenet1_0", {"ceil_mode": True}, 75
    yield "torchvision", "squeezenet1_1", "squeezenet1_1", {"ceil_mode": True, "stem": (64, 3, 0)}, 75
    for depth in (121, 161, 169, 201):
        yield "torchvision", f"densenet{depth}", f"densenet{depth}", {}, 64
        yield "timm", f"densenet{depth}", f"densenet{depth}", {}, 64
    yield "timm", "mobilenetv1_100", "mobilenetv1", {"act": "relu6"}, 64
    yield "torchvision", "mobilenet_v2", "mobilenetv2", {}, 64
    yield "timm", "mobilenetv2_100", "mobilenetv2", {}, 64
    for size in ("large", "small"):
        yield "torchvision", f"mobilenet_v3_{size}", f"mobilenetv3_{size}_100", {}, 64
    yield "torchvision", "shufflenet_v2_x0_5", "shufflenetv2_x0_5", {}, 64
    yield "torchvision", "shufflenet_v2_x1_0", "shufflenetv2_x1_0", {}, 64
    yield "torchvision", "shufflenet_v2_x1_5", "shufflenetv2_x1_5", {}, 64
    for size in range(8):
        symmetric = {"padding_type": "DYNAMIC"}
        yield "torchvision", f"efficientnet_b{size}", f"efficientnetb{size}", symmetric, 64
        yield "timm", f"efficientnet_b{size}", f"efficientnetb{size}", symmetric, 64
        yield "timm", f"tf_efficientnet_b{size}", f"efficientnetb{size}", {}, 65
    yield from (("timm", f"dpn{depth}", f"dpn{depth}", {}, 64) for depth in (68, 92, 98, 107, 131))
    yield "timm", "darknet53", "darknet53", {"act": "leaky_relu"}, 64
    for width in (18, 30, 32, 40, 44, 48, 64):
        yield "timm", f"hrnet_w{width}", f"hrnet_w{width}_c", {"align_corners": False}, 64
        yield "paddleclas", f"HRNet_W{width}_C", f"hrnet_w{width}_c", {"align_corners": False}, 64
    yield from (("paddleclas", name, name.lower(), {}, size) for name, size in PADDLECLAS.items())
    yield from (("paddle_vision", f"resnet{depth}", f"resnet{depth}", {}, 64) for depth in (18, 34, 50, 101, 152))
    for name in ("resnext50_32x4d", "resnext50_64x4d", "resnext101_32x4d", "resnext101_64x4d", "resnext152_32x4d"):
        yield "paddle_vision", name, name, {}, 64
    yield "paddle_vision", "alexnet", "alexnet", {}, 224
    yield from (("paddle_vision", f"vgg{depth}", f"vgg{depth}", VGG, 224) for depth in (11, 13, 16, 19))
    yield "paddle_vision", "squeezenet1_0", "squeezenet1_0", {}, 75
    yield "paddle_vision", "squeezenet1_1", "squeezenet1_1", {}, 75
    yield "paddle_vision", "googlenet", "googlenet", {}, 224
    yield from (("paddle_vision", f"densenet{n}", f"densenet{n}", {}, 64) for n in (121, 161, 169, 201, 264))
    yield "paddle_vision", "mobilenet_v1", "mobilenetv1", {}, 64
    yield "paddle_vision", "mobilenet_v2", "mobilenetv2", {}, 64
    for scale in ("x0_25", "x0_33", "x0_5", "x1_0", "x1_5", "x2_0", "swish"):
        yield "paddle_vision", f"shufflenet_v2_{scale}", f"shufflenetv2_{scale}", {}, 64


_BY_SIZE = {
    64: """ResNet18 ResNet34 ResNet50 ResNet101 ResNet152 ResNet18_vd ResNet34_vd ResNet50_vd ResNet101_vd ResNet152_vd
    ResNet200_vd ResNet50_vc ResNeXt50_32x4d ResNeXt50_64x4d ResNeXt101_32x4d ResNeXt101_64x4d ResNeXt152_32x4d
    ResNeXt152_64x4d ResNeXt50_vd_32x4d ResNeXt50_vd_64x4d ResNeXt101_vd_32x4d ResNeXt101_vd_64x4d ResNeXt152_vd_32x4d
    ResNeXt152_vd_64x4d ResNeXt101_32x8d_wsl ResNeXt101_32x16d_wsl SE_ResNet18_vd SE_ResNet34_vd SE_ResNet50_vd
    SE_ResNeXt50_32x4d SE_ResNeXt101_32x4d SE_ResNeXt50_vd_32x4d SENet154_vd DenseNet121 DenseNet161 DenseNet169
    DenseNet201 DenseNet264 MobileNetV1_x0_25 MobileNetV1_x0_5 MobileNetV1_x0_75 MobileNetV1 MobileNetV2_x0_25
    MobileNetV2_x0_5 MobileNetV2_x0_75 MobileNetV2 MobileNetV2_x1_5 MobileNetV2_x2_0 ShuffleNetV2_x0_25
    ShuffleNetV2_x0_33 ShuffleNetV2_x0_5 ShuffleNetV2_x1_0 ShuffleNetV2_x1_5 ShuffleNetV2_swish
    EfficientNetB0 EfficientNetB0_small DPN68 DPN92 DPN98 DPN107 DPN131 Res2Net50_26w_4s Res2Net50_14w_8s
    Res2Net50_vd_26w_4s Res2Net101_vd_26w_4s Res2Net200_vd_26w_4s DarkNet53""",
    75: "SqueezeNet1_0 SqueezeNet1_1 Xception41 Xception65 Xception71 Xception41_deeplab Xception65_deeplab",
    139: "InceptionV4",
    224: "AlexNet VGG11 VGG13 VGG16 VGG19 GoogLeNet",
    # PaddleClas pads as its own size wants it, whatever the size of the images.
    **{240: "EfficientNetB1", 260: "EfficientNetB2", 300: "EfficientNetB3", 380: "EfficientNetB4"},
    **{456: "EfficientNetB5", 528: "EfficientNetB6", 600: "EfficientNetB7"},
}
PADDLECLAS = {name: size for size, names in _BY_SIZE.items() for name in names.split()}
