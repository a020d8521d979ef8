"""``forward_stages``: a map of every resolution, the last of them what ``forward_features`` gives."""

from itertools import pairwise

import numpy as np
import paddle
import pytest
from zoo import families, smaller_size

import imgcls
from imgcls.errors import UserError
from imgcls.models.layers import Network

CHANNELS = {
    "resnet50": [64, 256, 512, 1024, 2048],
    "vgg16": [64, 128, 256, 512, 512, 512],
    "mobilenetv2_x1_0": [16, 24, 32, 96, 1280],
    "hrnet_w18_c": [18, 36, 72, 144, 2048],
    "dpn68": [10, 144, 320, 704, 832],
}
"""Of some networks whose papers or whose tables above name them."""


@pytest.mark.parametrize("name", families())
def test_every_family(name, build):
    """Sides shrink from map to map, and numbers are the same channels-last."""
    paddle.seed(0)
    network = build(name, num_classes=5)
    network.eval()
    size = smaller_size(name)
    images = paddle.randn([1, 3, size, size + 20])
    with paddle.no_grad():
        features = network.forward_features(images).numpy()
        maps = [stage.numpy() for stage in network.forward_stages(images)]
        network.set_data_format("NHWC")
        channels_last = [stage.numpy() for stage in network.forward_stages(images)]
    assert np.array_equal(maps[-1], features)
    assert len(maps) >= 4
    stays = [number for number in range(1, len(maps)) if maps[number].shape[2:] == maps[number - 1].shape[2:]]
    # HRNet's joined map has the resolution of its coarsest branch
    assert stays == ([len(maps) - 1] if "hrnet" in name else [])
    for before, after in pairwise(maps):
        for long, short in zip(before.shape[2:], after.shape[2:], strict=True):
            # windows without padding cost a row or two more
            assert short == long or long // 2 - 2 <= short <= (long + 1) // 2
    for ours, theirs in zip(channels_last, maps, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("name", CHANNELS)
def test_channels(name):
    network = imgcls.create_model(name, num_classes=5)
    network.eval()
    with paddle.no_grad():
        maps = network.forward_stages(paddle.randn([1, 3, 64, 64]))
    assert [stage.shape[1] for stage in maps] == CHANNELS[name]


def test_gradients_reach_the_stem_from_every_stage():
    network = imgcls.create_model("resnet18", num_classes=5)
    for stage in network.forward_stages(paddle.randn([2, 3, 64, 64])):
        network.clear_gradients()
        (stage**2).mean().backward(retain_graph=True)
        assert float(network.stem[0].conv.weight.grad.abs().sum()) > 0


def test_images_too_small():
    with pytest.raises(UserError, match="too small for this network, which needs 32"):
        imgcls.create_model("vgg11", num_classes=5).forward_stages(paddle.randn([1, 3, 31, 31]))


class Plain(Network):
    """Says how to get its last map and no more."""

    def forward_maps(self, x):
        return x


def test_a_network_without_stages():
    with pytest.raises(UserError, match="Plain has no stages"):
        Plain().forward_stages(paddle.randn([1, 3, 8, 8]))
