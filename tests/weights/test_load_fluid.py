"""Every format of the original through ``create_model(pretrained=...)``, against the original's logits."""

import shutil
import tarfile

import numpy as np
import paddle
import pytest
from paddle.base import unique_name

from imgcls import create_model, model_info
from imgcls.errors import UserError
from imgcls.models.layers import fluid_names
from imgcls.weights.fluid import files as fluid
from imgcls.weights.fluid.training import select_averaged, sort_training_state
from imgcls.weights.load import load_into, load_pretrained
from imgcls.weights.source import read_weights

SHUFFLENET = "ShuffleNetV2_x0_25"


def logits(network, images):
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(images)).numpy()


def assert_close(actual, expected):
    """The reference's tolerance."""
    expected = np.asarray(expected, np.float32)
    assert np.abs(actual - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("packed", [False, True], ids=["directory", "tar"])
def test_published_weights(fluid_checkpoint, images, tmp_path, packed):
    path = fluid_checkpoint / "MobileNetV1_x0_25_pretrained"
    if packed:
        with tarfile.open(tmp_path / f"{path.name}.tar", "w") as archive:
            archive.add(path, path.name)
        path = tmp_path / f"{path.name}.tar"
    reference = np.load(fluid_checkpoint.parent / "logits.npz")["MobileNetV1_x0_25"]
    assert_close(logits(create_model("MobileNetV1_x0_25", pretrained=path), images), reference)


@pytest.mark.parametrize(
    ("source", "case"),
    [
        ("ShuffleNetV2_x0_25_pretrained", "ShuffleNetV2_x0_25_pretrained"),
        ("ShuffleNetV2_x0_25_train", "ShuffleNetV2_x0_25_train"),
        ("ShuffleNetV2_x0_25_ema", "ShuffleNetV2_x0_25_ema"),  # its plain parameters, as in the original
        ("inference", "ShuffleNetV2_x0_25_train"),
        ("fluid_save/ShuffleNetV2_x0_25.pdparams", "ShuffleNetV2_x0_25_train"),
        ("fluid_save/ShuffleNetV2_x0_25", "ShuffleNetV2_x0_25_train"),  # as fluid.load takes it
    ],
)
def test_ten_classes(fluid_checkpoint, expected, images, source, case):
    network = create_model(SHUFFLENET, num_classes=10, pretrained=fluid_checkpoint / source)
    assert_close(logits(network, images), expected[case]["logits"])


def test_averaged_parameters_with_averaged_statistics(fluid_checkpoint, expected, images):
    averaged = select_averaged(fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_ema"))
    network = create_model(SHUFFLENET, num_classes=10)
    report = load_into(network, averaged, "fluid")
    assert report.unexpected == []
    key = "logits_averaged_params_averaged_statistics"
    assert_close(logits(network, images), expected["ShuffleNetV2_x0_25_ema"][key])


def test_the_optimizer_goes_on_from_the_velocities(fluid_checkpoint):
    path = fluid_checkpoint / "ShuffleNetV2_x0_25_train"
    network = create_model(SHUFFLENET, num_classes=10, pretrained=path)
    velocities = sort_training_state(read_weights(path).arrays).accumulators
    optimizer = paddle.optimizer.Momentum(0.1, parameters=network.parameters())
    optimizer.set_state_dict(velocities)
    name = "fc6_weights"
    before = network.head.weight.numpy()
    network.head.weight.grad = paddle.zeros_like(network.head.weight)
    # Paddle numbers accumulators per process; the guard counts from 0, whatever other tests made.
    with unique_name.guard():
        optimizer.step()
    step = -0.1 * 0.9 * velocities[f"{name}_velocity_0"]
    assert np.abs(step).max() > 1e-3
    np.testing.assert_allclose(network.head.weight.numpy() - before, step, atol=1e-6)


def test_training_state_is_reported_and_harmless(fluid_checkpoint):
    network = create_model(SHUFFLENET, num_classes=10)
    report = load_pretrained(network, model_info(SHUFFLENET), fluid_checkpoint / "ShuffleNetV2_x0_25_ema")
    assert len(report.loaded) == len(network.state_dict())
    assert len(report.unexpected) == report.training_state == 737 - len(report.loaded)
    assert f"{report.training_state} of them training state" in report.summary()
    assert max(map(len, report.summary().splitlines())) < 500


def test_back_to_a_fluid_directory_bit_for_bit(fluid_checkpoint, tmp_path):
    source = fluid_checkpoint / "ShuffleNetV2_x0_25_pretrained"
    network = create_model(SHUFFLENET, num_classes=10, pretrained=source)
    names = fluid_names(network)
    fluid.write_directory(tmp_path / "back", {names[k]: t.numpy() for k, t in network.state_dict().items()})
    files = {file.name: file.read_bytes() for file in source.iterdir()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "back").iterdir()} == files


def test_a_missing_and_a_damaged_variable_are_named(fluid_checkpoint, tmp_path):
    shutil.copytree(fluid_checkpoint / "ShuffleNetV2_x0_25_pretrained", tmp_path / "net")
    (tmp_path / "net" / "stage_3_1_conv1_bn_mean").unlink()
    with pytest.raises(UserError, match=r"1 missing in the file: .* = 'stage_3_1_conv1_bn_mean'"):
        create_model(SHUFFLENET, num_classes=10, pretrained=tmp_path / "net")
    (tmp_path / "net" / "stage_3_1_conv1_bn_mean").write_bytes(b"\0" * 20)
    with pytest.raises(UserError, match="stage_3_1_conv1_bn_mean is damaged"):
        create_model(SHUFFLENET, num_classes=10, pretrained=tmp_path / "net")
