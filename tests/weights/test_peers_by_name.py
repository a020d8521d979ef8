"""Weights of the modern networks' sources, by the names that the tensors carry.

``peers/test_modern_weights.py`` has files that timm itself wrote.
"""

import json

import numpy as np
import paddle
import pytest
from omegaconf import OmegaConf

from imgcls import create_model
from imgcls.app.pretrained import as_its_weights_see
from imgcls.errors import UserError
from imgcls.models.registry import build_model, model_info
from imgcls.weights.load import load_pretrained
from imgcls.weights.peers.adopt import named_for_torch
from imgcls.weights.safetensors_file import write_safetensors
from imgcls.weights.source import read_weights
from imgcls.weights.torch_file import write_torch

CLASSES = 10


def write(path, arrays, **metadata):
    write_safetensors(path, arrays, metadata) if path.suffix == ".safetensors" else write_torch(path, arrays)
    return path


def same_bits(network, other):
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def deit():
    return build_model("deit_tiny_patch16_224", num_classes=CLASSES)


@pytest.fixture(scope="module")
def arrays(deit):
    return named_for_torch(deit, model_info("deit_tiny_patch16_224"))[0]


def put(tmp_path, arrays, name="deit.safetensors"):
    return write(tmp_path / name, arrays)


def test_there_and_back_by_the_program(run_program, tmp_path):
    network = build_model("convnext_atto", num_classes=CLASSES)
    paddle.save(network.state_dict(), str(tmp_path / "ours.pdparams"))
    words = ["model=convnext_atto", "convert.source=ours.pdparams", "convert.output=theirs.safetensors"]
    run_program("convert", *words, cwd=tmp_path)
    stored = read_weights(tmp_path / "theirs.safetensors").arrays
    assert stored["head.fc.weight"].shape == (CLASSES, 320)
    assert stored["stages.0.blocks.0.mlp.fc1.weight"].shape == (160, 40, 1, 1)  # a convolution there
    words = ["model=convnext_atto", "convert.source=theirs.safetensors", "convert.output=back.pdparams"]
    assert "timm" in run_program("convert", *words, cwd=tmp_path).stderr
    assert same_bits(create_model("convnext_atto", num_classes=CLASSES, pretrained=tmp_path / "back.pdparams"), network)


@pytest.mark.parametrize("name", ["pplcnet_x0_25", "mobilenetv3_small_050", "regnetx_002"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_there_and_back(tmp_path, name, suffix):
    network = build_model(name, num_classes=CLASSES)
    arrays, whose = named_for_torch(network, model_info(name))
    file = write(tmp_path / f"weights{suffix}", arrays)
    other = build_model(name, num_classes=CLASSES)
    assert load_pretrained(other, model_info(name), file).peer == {"timm": "timm", "paddleclas": "PaddleClas"}[whose]
    assert same_bits(network, other)


def test_there_and_back_by_torchvisions_names(tmp_path):
    """Its batch norms have another epsilon, so bits change and answers do not; it pads otherwise than ``tf_``."""
    name = "efficientnetv2_s"
    network = build_model(name, num_classes=CLASSES)
    arrays, whose = named_for_torch(network, model_info(name), "torchvision")
    assert whose == "torchvision"
    assert {"features.0.0.weight", "features.4.0.block.2.fc1.bias", "features.7.1.running_var"} <= arrays.keys()
    file = write(tmp_path / "efficientnet_v2_s-dd5fe13b.pth", arrays)
    other = build_model(name, num_classes=CLASSES)
    assert load_pretrained(other, model_info(name), file).peer == "torchvision"
    ours, theirs = network.state_dict(), other.state_dict()
    assert all(np.allclose(ours[key], theirs[key], rtol=1e-6, atol=0) for key in ours)
    with pytest.raises(UserError, match="nothing was loaded"):
        create_model("tf_efficientnetv2_s", num_classes=CLASSES, pretrained=file)


def test_a_file_of_paddleclas(tmp_path):
    """Its keys, and fully connected weights as they are stored; what training leaves beside the branches is let be."""
    network = build_model("pplcnetv2_small", num_classes=CLASSES)
    state = {tensor.name: tensor for tensor in network.state_dict().values()}
    first = next(name for name in state if ".dw_conv" in name)
    state[f"{first.partition('.dw_conv')[0]}.dw_conv.weight"] = paddle.ones([3, 1, 5, 5])
    paddle.save(state, str(tmp_path / "clas.pdparams"))
    other = build_model("pplcnetv2_small", num_classes=CLASSES)
    assert load_pretrained(other, model_info("pplcnetv2_small"), tmp_path / "clas.pdparams").peer == "PaddleClas"
    assert same_bits(network, other)


def test_our_own_names_are_not_turned_round(deit, arrays, tmp_path):
    """The two differ in nothing but the fully connected weights of this family."""
    own, whose = named_for_torch(deit, model_info("deit_tiny_patch16_224"), "imgcls")
    assert whose == "imgcls"
    assert own.keys() == arrays.keys()
    for stored in (own, arrays):
        file = put(tmp_path, stored)
        assert same_bits(create_model("deit_tiny_patch16_224", num_classes=CLASSES, pretrained=file), deit)


def test_a_new_last_layer_goes_on_top(deit, arrays, tmp_path):
    network = create_model("deit_tiny_patch16_224", num_classes=3, pretrained=put(tmp_path, arrays))
    assert network.head.weight.shape == [192, 3]
    assert np.array_equal(network.blocks[0].attn.proj.weight, deit.blocks[0].attn.proj.weight)  # square


def test_without_a_last_layer(deit, arrays, tmp_path):
    """As DINOv2's are."""
    file = put(tmp_path, {key: array for key, array in arrays.items() if not key.startswith("head.")})
    info, network = model_info("deit_tiny_patch16_224"), build_model("deit_tiny_patch16_224", num_classes=CLASSES)
    with pytest.raises(UserError, match=r"no last layer and gives features\. 'model\.exclude=\[head\]'"):
        load_pretrained(network, info, file)
    report = load_pretrained(network, info, file, ["head"])
    assert report.excluded == ["head.weight", "head.bias"]
    assert np.array_equal(network.norm.bias, deit.norm.bias)


def test_what_is_not_equal_is_refused(arrays, tmp_path):
    name = "deit_tiny_patch16_224"
    opening = f"names of timm, but it is not its {name}; nothing was loaded"
    for change, message in (
        ({"head_dist.weight": np.ones((CLASSES, 192), np.float32)}, r"left over: head_dist\.weight"),
        ({"norm.bias": None}, r"missing: norm\.bias"),
    ):
        changed = {key: array for key, array in {**arrays, **change}.items() if array is not None}
        with pytest.raises(UserError, match=rf"{opening}\. {message}"):
            create_model(name, num_classes=CLASSES, pretrained=put(tmp_path, changed))
    file = put(tmp_path, arrays)
    with pytest.raises(UserError, match="does not fit convnext_atto; nothing was loaded"):
        create_model("convnext_atto", pretrained=file)
    with pytest.raises(UserError, match="No weights of torchvision are known to be exactly"):
        create_model(name, num_classes=CLASSES, pretrained=file, pretrained_from="torchvision")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "deit_tiny_distilled_patch16_224"}), "utf-8")
    with pytest.raises(UserError, match="is timm's deit_tiny_distilled_patch16_224, which is not exactly"):
        create_model(name, num_classes=CLASSES, pretrained=file)


def test_networks_of_equal_tensors_are_asked_about(tmp_path):
    """One of them pads as TensorFlow does."""
    ours, other = "mobilenetv3_small_075", "tf_mobilenetv3_small_075"
    arrays = named_for_torch(build_model(ours, num_classes=CLASSES), model_info(ours))[0]
    file = write(tmp_path / "model.pth", arrays)
    with pytest.raises(UserError, match=f"or its {other}, .* say so: model.pretrained_from=timm/{ours}"):
        create_model(ours, num_classes=CLASSES, pretrained=file)
    create_model(ours, num_classes=CLASSES, pretrained=file, pretrained_from=f"timm/{ours}")
    told = write(tmp_path / "tf_mobilenetv3_small_075-da427f52.pth", arrays)
    create_model(other, num_classes=CLASSES, pretrained=told)
    with pytest.raises(UserError, match=rf"which is not exactly {ours}.*That is model={other}\."):
        create_model(ours, num_classes=CLASSES, pretrained=told)


def test_images_are_seen_as_the_catalogue_says(tmp_path):
    """timm's own values of each network are its row, so its defaults are no better."""
    facts = {"pretrained": str(tmp_path / "a.pth"), "pretrained_from": "timm", "interpolation": "linear"}
    for name, interpolation in (("mobilenetv3_small_050", "linear"), ("resnet50", "cubic")):
        config = OmegaConf.create({"model": {"name": name, **facts}})
        as_its_weights_see(config, "train")
        assert config.model.interpolation == interpolation
