"""Checkpoints of the original into Paddle 2.x and back, through the program."""

import json

import numpy as np
import paddle
import pytest
import weights
from locations import REFERENCE

import imgcls

FLUID = REFERENCE / "fluid_checkpoint"
CASES = json.loads((FLUID / "expected.json").read_text())["cases"]
MODELS = {"MobileNetV1_x0_25_pretrained": "mobilenetv1_x0_25", "ShuffleNetV2_x0_25_pretrained": "shufflenetv2_x0_25"}


def files(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", MODELS)
def test_round_trip_is_bit_identical(folder, run_program, tmp_path):
    model = f"model={MODELS[folder]}"
    arguments = (f"convert.source={FLUID / folder}", "convert.output=there.pdparams")
    run_program("convert", model, *arguments, cwd=tmp_path)
    run_program("convert", model, "convert.source=there.pdparams", "convert.output=back", cwd=tmp_path)
    assert files(tmp_path / "back") == files(FLUID / folder)


def test_averages_of_a_training_checkpoint(run_program, tmp_path):
    """The averaged weights with averaged statistics: one of the two outcomes of the original's script, always."""
    source = f"convert.source={FLUID / 'ShuffleNetV2_x0_25_ema'}"
    arguments = ("model=shufflenetv2_x0_25", source, "convert.weights=averaged", "convert.output=averaged.pdparams")
    run_program("convert", *arguments, cwd=tmp_path)
    network = imgcls.create_model("shufflenetv2_x0_25", num_classes=10, pretrained=tmp_path / "averaged.pdparams")
    network.eval()
    with paddle.no_grad():
        logits = network(paddle.to_tensor(weights.make_input(224))).numpy()
    expected = np.array(CASES["ShuffleNetV2_x0_25_ema"]["logits_averaged_params_averaged_statistics"])
    assert np.abs(logits - expected).max() <= 1e-4 * expected.std()


def test_fused_acnet(run_program, tmp_path):
    paddle.seed(3)
    network = imgcls.create_model("resnet18_acnet", num_classes=4)
    network.train()
    network(paddle.randn([4, 3, 64, 64]))  # statistics that are not those of the start
    network.eval()
    paddle.save(network.state_dict(), str(tmp_path / "training.pdparams"))
    arguments = ("model=resnet18_acnet", "convert.source=training.pdparams", "convert.output=deploy.pdparams")
    run_program("convert", *arguments, "convert.fuse=true", cwd=tmp_path)
    fused = imgcls.create_model("resnet18_acnet", num_classes=4, pretrained=tmp_path / "deploy.pdparams", deploy=True)
    fused.eval()
    images = paddle.randn([2, 3, 64, 64])
    with paddle.no_grad():
        expected = network(images).numpy()
        assert np.abs(fused(images).numpy() - expected).max() < 1e-5 * expected.std()


def test_mistakes(run_program, tmp_path):
    (tmp_path / "there.pdparams").touch()
    source = f"convert.source={FLUID / 'MobileNetV1_x0_25_pretrained'}"
    for arguments, expected in (
        (("model=mobilenetv1_x0_25", source, "convert.output=there.onnx"), "export.format=onnx"),
        (("model=mobilenetv1_x0_25", source, "convert.output=there.PT"), "write .pth"),
        (("model=mobilenetv1_x0_25", source, "convert.output=there.pdparams"), "exists already"),
        (("model=resnet18", source, "convert.output=new.pdparams"), "does not fit"),
        (("model=mobilenetv1_x0_25", source, "convert.output=new.pdparams", "convert.fuse=true"), "nothing to fuse"),
        (("model=mobilenetv1_x0_25", "convert.source=nowhere", "convert.output=new"), "nowhere"),
        (("model=mobilenetv1_x0_25", "convert.output=new"), "convert.source is required"),
    ):
        result = run_program("convert", *arguments, cwd=tmp_path, check=False)
        assert result.returncode == 2, result.stderr
        assert expected in result.stderr
        assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("new")] == []
