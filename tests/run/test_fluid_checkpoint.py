"""A training run of the original goes on here: weights, momentum, averages, position."""

import numpy as np
import paddle
import pytest
import weights
from locations import REFERENCE

import imgcls
from imgcls.callbacks.ema import EMA
from imgcls.engine.optimizers import build_optimizer
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.run.checkpoint import is_fluid_checkpoint
from imgcls.run.directory import RunDirectory
from imgcls.run.fluid_checkpoint import restore_fluid
from imgcls.weights.fluid.files import read_directory

FLUID = REFERENCE / "fluid_checkpoint"
LR, DECAY = 0.001, 3e-5  # of the recorded run


def resumed(folder, callbacks=()):
    network = imgcls.create_model("shufflenetv2_x0_25", num_classes=10)
    trainer = Trainer(network, lambda images: images)
    trainer.prepare(build_optimizer("momentum", network, LR, momentum=0.9, use_nesterov=False, weight_decay=DECAY))
    restore_fluid(FLUID / folder, trainer, list(callbacks), steps_per_epoch=1)
    return trainer


def test_the_next_update_uses_the_stored_momentum():
    arrays = read_directory(FLUID / "ShuffleNetV2_x0_25_train")
    trainer = resumed("ShuffleNetV2_x0_25_train")
    assert (trainer.progress.step, trainer.progress.epoch) == (2, 2)
    head = trainer.network.head.weight
    assert np.array_equal(head.numpy(), arrays["fc6_weights"])

    images, labels = paddle.to_tensor(weights.make_input(224, 4)), paddle.to_tensor([1, 7, 3, 3])
    trainer.network.train()
    paddle.nn.functional.cross_entropy(trainer.network(images), labels).backward()
    gradient = head.grad.numpy() + DECAY * arrays["fc6_weights"]
    trainer.optimizer.clear_grad()
    for key, tensor in trainer.network.state_dict().items():  # statistics moved
        tensor.set_value(arrays[tensor.name]) if "_mean" in key or "_variance" in key else None
    trainer.train_batch([images], [labels, labels])
    velocity = 0.9 * arrays["fc6_weights_velocity_0"] + gradient
    np.testing.assert_allclose(head.numpy(), arrays["fc6_weights"] - LR * velocity, rtol=1e-5, atol=1e-7)


def test_averages_go_on():
    average = EMA(0.9999)
    resumed("ShuffleNetV2_x0_25_ema", [average])
    arrays = read_directory(FLUID / "ShuffleNetV2_x0_25_ema")
    assert np.array_equal(average.shadow["head.weight"].numpy(), arrays["fc6_weights_ema_0"])


def test_published_weights_are_no_run():
    assert is_fluid_checkpoint(FLUID / "ShuffleNetV2_x0_25_train")
    assert not is_fluid_checkpoint(FLUID / "ShuffleNetV2_x0_25_pretrained")
    with pytest.raises(UserError, match=r"model\.pretrained="):
        resumed("ShuffleNetV2_x0_25_pretrained")


@pytest.mark.parametrize("name", ["learning_rate", "@LR_DECAY_COUNTER@"])
def test_what_is_resumed_is_what_a_run_directory_accepts(tmp_path, name):
    """The original saved the rate, the step counter, or both, by its schedule."""
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "fc_weights").write_bytes(b"")
    with pytest.raises(UserError, match="this is no whole checkpoint"):
        RunDirectory(tmp_path / "run", str(saved), pytest.fail)
    (saved / name).write_bytes(b"")
    assert is_fluid_checkpoint(saved)
    with RunDirectory(tmp_path / "run", str(saved), pytest.fail) as run:
        assert run.start_from == saved


def test_the_program_continues_it(run_program, tmp_path):
    arguments = ["model=shufflenetv2_x0_25", "data=synthetic", "data.num_classes=10", "data.train_size=8"]
    arguments += ["data.val_size=8", "transform.size=32", "trainer.batch_size=4", "trainer.num_workers=0"]
    arguments += [f"trainer.resume={FLUID / 'ShuffleNetV2_x0_25_train'}", "trainer.epochs=2", "run.name=on"]
    result = run_program("train", *arguments, cwd=tmp_path)
    assert "after 2 updates" in result.stderr
    assert (tmp_path / "outputs/on/checkpoints/epoch-0002-step-00000004").is_dir()
