"""Every network against the original's numbers, and what every network must be able to do.

By default the small networks run whole and the big ones are compared in structure only, without
ever being filled; ``--full`` runs everything.
"""

import numpy as np
import paddle
import pytest
import weights
from locations import REFERENCE
from zoo import NAMES, families, filled, one_per_family_or_full, small_or_full, smaller_size, specification

import imgcls
from imgcls.models.layers import fluid_names

LOGITS = np.load(REFERENCE / "logits.npz")


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within the reference's tolerance, for each image and for what tells the two apart."""
    assert np.abs(ours - theirs).max() <= 1e-4 * theirs.std()
    between = theirs[0] - theirs[1]
    assert np.abs((ours[0] - ours[1]) - between).max() <= 1e-2 * between.std()


@pytest.mark.parametrize("name", NAMES)
def test_structure(name):
    """Names, shapes and order of all variables and the number of trainable elements, without filling them."""
    spec = specification(name)
    with paddle.LazyGuard():
        network = imgcls.create_model(name)
    shapes = {tensor.name: list(tensor.shape) for tensor in network.state_dict().values()}
    assert list(shapes.items()) == [(item["name"], item["shape"]) for item in spec["parameters"]]
    trainable = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    assert sum(int(np.prod(parameter.shape)) for parameter in trainable) == spec["num_params"]
    assert imgcls.model_info(name).params == spec["num_params"]
    # written as, for instance, "L2DecayRegularizer(0.0001)"
    own_decay = {
        item["name"]: float(item["regularizer"].partition("(")[2].rstrip(")"))
        for item in spec["parameters"]
        if "regularizer" in item
    }
    declared = {p.name: p.regularizer._coeff for p in trainable if p.regularizer is not None}
    assert declared == pytest.approx(own_decay)


@pytest.mark.parametrize("name", map(small_or_full, NAMES))
def test_logits(name):
    spec = specification(name)
    if spec["model"] not in LOGITS:
        pytest.skip("the logits of this model are not in the reference")
    network = filled(name, spec)
    with paddle.no_grad():
        logits = network(paddle.to_tensor(weights.make_input(spec["input_size"]))).numpy()
    assert_close(logits, LOGITS[spec["model"]])


@pytest.mark.parametrize("name", map(one_per_family_or_full, NAMES))
def test_interface(name, build, tmp_path):
    """Training and evaluation, gradients, features, another head, a second image size, a saved state."""
    paddle.seed(1)
    size = smaller_size(name)
    network = build(name)
    images = paddle.to_tensor(weights.make_input(size))

    network.train()
    outputs = network(images)
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    assert all(head.shape == [2, 1000] for head in heads)
    sum(paddle.nn.functional.cross_entropy(head, paddle.to_tensor([3, 7])) for head in heads).backward()
    for key, parameter in network.named_parameters():
        if not parameter.stop_gradient:
            assert parameter.grad is not None, key
            assert np.isfinite(float(parameter.grad.abs().sum())), key

    network.eval()
    with paddle.no_grad():
        logits = network(images)
        assert logits.shape == [2, 1000]
        again = network(images)
        assert np.array_equal(logits.numpy(), again.numpy())
        has_norm_or_dropout = any(
            isinstance(layer, paddle.nn.BatchNorm2D | paddle.nn.Dropout) for layer in network.sublayers()
        )
        if has_norm_or_dropout:
            assert not np.allclose(logits.numpy(), heads[0].numpy())
        features = network.forward_features(images)
        assert features.shape[:2] == [2, network.num_features]
        np.testing.assert_allclose(network.forward_head(features).numpy(), logits.numpy(), rtol=1e-4, atol=1e-4)

        paddle.save(network.state_dict(), str(tmp_path / "network.pdparams"))
        other = build(name)
        other.set_state_dict(paddle.load(str(tmp_path / "network.pdparams")))
        other.eval()
        assert np.array_equal(other(images).numpy(), logits.numpy())

        names = fluid_names(network)
        network.reset_head(7)
        assert network(images).shape == [2, 7]
        assert fluid_names(network).keys() == names.keys()


@pytest.mark.parametrize("name", families())
def test_input_channels(name, build):
    network = build(name, in_channels=4, num_classes=6)
    network.eval()
    size = smaller_size(name)
    with paddle.no_grad():
        assert network(paddle.randn([1, 4, size, size])).shape == [1, 6]


def test_published():
    assert len(imgcls.list_models(published=True)) == 104
    assert len(NAMES) == 153
