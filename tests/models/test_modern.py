"""The networks that the original did not have: equal to their source, and able to do what every network can.

The sources' logits are in ``reference/modern.npz``, made by ``peers/source_logits.py --few``; the whole of it,
every variant against the source's own package, is ``peers/test_modern_sources.py``.
"""

import gc
import json
from importlib import import_module

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from modern import (
    NAMES,
    OWN_SIZE,
    SIZE,
    arguments,
    families,
    fill,
    filled,
    filled_case,
    one_per_family_or_full,
    quick,
    source_shapes,
)
from paddle.nn import functional as F
from weights import make_input

import imgcls
from imgcls.engine.optimizers import build_optimizer
from imgcls.errors import UserError
from imgcls.models import regnet
from imgcls.models.layers import fluid_names
from imgcls.models.modern_layers import DropPath, attention, fused_attention, resample

EXPECTED = np.load(REFERENCE / "modern.npz")
LAYERS_WITH_BLOCKS = ("convnext", "swin", "vit")
"""Families whose blocks may be computed again for the gradient: a batch norm would count its batch twice."""


@pytest.fixture(autouse=True)
def _free_memory():
    yield
    gc.collect()


def images_of(size: int) -> paddle.Tensor:
    return paddle.to_tensor(make_input(size))


def test_every_variant_has_its_row():
    modules = {imgcls.model_info(name).module for name in NAMES}
    variants = {name for module in modules for name in import_module(f"imgcls.models.{module}").VARIANTS}
    assert variants == set(NAMES)
    for info in map(imgcls.model_info, NAMES):
        assert not info.published
        assert info.licence or info.source
        assert (info.top1 is None) == (info.measured_size is None)


@pytest.mark.parametrize("name", map(one_per_family_or_full, NAMES))
def test_parameters(name):
    with paddle.LazyGuard():
        network = imgcls.create_model(name)
    count = sum(int(np.prod(tensor.shape)) for tensor in network.parameters() if not tensor.stop_gradient)
    assert count == imgcls.model_info(name).params
    assert len(set(fluid_names(network).values())) == len(network.state_dict())


@pytest.mark.parametrize("case", EXPECTED.files)
def test_logits(case):
    """Within 1e-5 of the source's, with random weights and statistics."""
    network, size = filled_case(case)
    with paddle.no_grad():
        logits = network(images_of(size)).numpy()[:, ::10]
    expected = EXPECTED[case]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()
    between = expected[0] - expected[1]
    assert np.abs((logits[0] - logits[1]) - between).max() <= 1e-3 * between.std()


@pytest.mark.parametrize("name", map(one_per_family_or_full, NAMES))
def test_interface(name, tmp_path):
    """A training step with gradients everywhere, features and stages in either data format, another head."""
    network = filled(name, SIZE, **quick(name))
    images = images_of(SIZE)
    network.train()
    F.cross_entropy(network(images), paddle.to_tensor([3, 7])).backward()
    for key, parameter in network.named_parameters():
        if not parameter.stop_gradient:
            assert np.isfinite(parameter.grad.numpy()).all(), key
    before = network.head.weight.numpy()
    build_optimizer("momentum", network, lr=1e-5, momentum=0.9, use_nesterov=False).step()
    assert not np.array_equal(network.head.weight.numpy(), before)

    network.eval()
    with paddle.no_grad():
        logits = network(images).numpy()
        features = network.forward_features(images)
        assert features.shape[:2] == [2, network.num_features]
        map_of, rest = network.split_at_map(images)
        assert map_of.ndim == 4
        np.testing.assert_allclose(rest(map_of).numpy(), logits, rtol=1e-4, atol=1e-4)
        network.set_data_format("NHWC")
        np.testing.assert_allclose(network(images).numpy(), logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(network.forward_features(images).numpy(), features.numpy(), rtol=1e-4, atol=1e-4)
        if imgcls.model_info(name).module == "vit":
            with pytest.raises(UserError, match="has no stages"):
                network.forward_stages(images)
        else:
            stages = network.forward_stages(images)
            sides = [stage.shape[2] for stage in stages]
            assert len(stages) >= 4
            assert sides == sorted(set(sides), reverse=True)
            np.testing.assert_allclose(stages[-1].numpy(), features.numpy(), rtol=1e-4, atol=1e-4)
        names = fluid_names(network)
        network.reset_head(7)
        assert network(images).shape == [2, 7]
        assert fluid_names(network) == names


@pytest.mark.parametrize("name", families())
def test_input_channels(name):
    network = imgcls.create_model(name, in_channels=4, num_classes=6, **arguments(name, SIZE), **quick(name))
    network.eval()
    with paddle.no_grad():
        assert network(paddle.randn([1, 4, SIZE, SIZE])).shape == [1, 6]


def recomputed() -> list[str]:
    return [name for name in families() if imgcls.model_info(name).module in LAYERS_WITH_BLOCKS]


@pytest.mark.parametrize("name", recomputed())
def test_blocks_computed_again_give_the_same_gradients(name):
    """Also where drop path leaves branches out: the same ones both times."""
    found = []
    for again in (False, True):
        network = filled(name, SIZE, checkpointing=again, drop_path=0.3, **quick(name))
        network.train()
        paddle.seed(5)
        loss = F.cross_entropy(network(images_of(SIZE)), paddle.to_tensor([3, 7]))
        loss.backward()
        found.append({key: tensor.grad.numpy() for key, tensor in network.named_parameters()})
    for key, gradient in found[0].items():
        np.testing.assert_allclose(found[1][key], gradient, rtol=1e-5, atol=1e-6, err_msg=key)


def test_drop_path_leaves_out_whole_branches():
    paddle.seed(3)
    layer, ones = DropPath(0.25), paddle.ones([4000, 2, 3])
    kept = layer(ones).numpy()
    assert set(np.unique(kept.round(4))) == {0, np.float32(4 / 3).round(4)}
    assert (kept == kept[:, :1, :1]).all()
    assert abs(kept[:, 0, 0].mean() - 1) < 0.05
    layer.eval()
    assert (layer(ones) == ones).all()


def test_attention_is_the_same_through_paddles_own_function():
    paddle.seed(4)
    query, key, value = (paddle.randn([2, 3, 10, 16]) for _ in range(3))
    ours, theirs = attention(query, key, value), fused_attention(query, key, value)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("regnetx_004", [(32, 16, 1), (64, 16, 2), (160, 16, 7), (384, 16, 12)]),  # 392, halfway between two
        ("regnetx_040", [(80, 40, 2), (240, 40, 5), (560, 40, 14), (1360, 40, 2)]),
        ("regnety_008", [(64, 16, 1), (128, 16, 3), (320, 16, 8), (768, 16, 2)]),
        ("regnety_040", [(128, 64, 2), (192, 64, 6), (512, 64, 12), (1088, 64, 2)]),
        ("regnety_080", [(168, 56, 2), (448, 56, 4), (896, 56, 10), (2016, 56, 1)]),
    ],
)
def test_widths_that_groups_do_not_divide(name, stages):
    """Width, channels of a group and blocks as timm rounds them."""
    table = regnet.Y if name.startswith("regnety") else regnet.X
    assert regnet.widths(*table[name.partition("_")[2]]) == stages


def test_positions_are_resampled_for_other_images(caplog):
    """Said once for each size; to the own size nothing changes, and a smooth grid stays smooth."""
    network = filled("vit_tiny_patch16_224", 64)
    with caplog.at_level("INFO"), paddle.no_grad():
        for _ in range(2):
            assert network(paddle.randn([1, 3, 96, 80])).shape == [1, 1000]
    assert [record.getMessage() for record in caplog.records] == [
        "Embeddings of positions are resampled from 4 x 4 patches to 6 x 5"
    ]
    rows = paddle.arange(8, dtype="float32")
    grid = paddle.stack([rows.unsqueeze(1).expand([8, 8]), rows.unsqueeze(0).expand([8, 8])], axis=2)
    np.testing.assert_allclose(resample(grid, 8, 8).numpy(), grid.numpy(), atol=1e-6)
    larger = resample(grid, 16, 24).numpy()
    np.testing.assert_allclose(larger[6:-6, 12, 0], (np.arange(6, 10) + 0.5) / 2 - 0.5, atol=1e-5)
    np.testing.assert_allclose(larger[8, 6:-6, 1], (np.arange(6, 18) + 0.5) / 3 - 0.5, atol=1e-5)


def test_swin_takes_images_of_any_size():
    network = filled("swin_tiny_patch4_window7_224", 64, size="micro")
    with paddle.no_grad():
        for height, width in ((64, 100), (45, 230)):
            assert network(paddle.randn([1, 3, height, width])).shape == [1, 1000]
            last = network.forward_features(paddle.randn([1, 3, height, width]))
            assert last.shape[2:] == [-(-height // 4 // 8), -(-width // 4 // 8)]


@pytest.mark.parametrize("name", [name for name in families() if imgcls.model_info(name).module in OWN_SIZE])
def test_a_graph_for_any_size_is_refused(name, tmp_path):
    spec = paddle.static.InputSpec([None, 3, None, None])
    with pytest.raises(UserError, match="are made for one size of the images"):
        paddle.jit.save(filled(name, SIZE, **quick(name)), str(tmp_path / "network"), input_spec=[spec])


def test_the_weights_place_is_named():
    with pytest.raises(UserError, match=r"The weights of convnext_atto are timm/convnext_atto.d2_in1k \(apache-2.0\)"):
        imgcls.create_model("convnext_atto", pretrained=True)


def test_repvgg_is_fused_for_use():
    """With random statistics, grouped too: the deploy form has one convolution a block and gives the same logits."""
    network = imgcls.create_model("repvgg_a0", groups=4, num_classes=5)
    shapes = source_shapes(network, True)
    fill(network, shapes, True)
    deploy = network.to_deploy()
    convolutions = [layer for layer in deploy.sublayers() if isinstance(layer, paddle.nn.Conv2D)]
    assert len(convolutions) == 1 + 2 + 4 + 14 + 1
    with paddle.no_grad():
        expected, found = network(images_of(SIZE)).numpy(), deploy(images_of(SIZE)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    with pytest.raises(UserError, match="nothing to fuse"):
        deploy.to_deploy()


def test_pp_lcnet_v2_is_fused_for_use():
    network = filled("pplcnetv2_small", SIZE, num_classes=5)
    deploy = network.to_deploy()
    assert len(deploy.sublayers()) < len(network.sublayers())
    with paddle.no_grad():
        expected, found = network(images_of(SIZE)).numpy(), deploy(images_of(SIZE)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def fine_tuned() -> list:
    by_default = "mobilenetv4_conv_small_050"
    return [pytest.param(name, marks=[] if name == by_default else [pytest.mark.full]) for name in families()]


@pytest.mark.parametrize("name", fine_tuned())
def test_fine_tuned_on_the_bundled_photos(name, tmp_path, run_program):
    """Two updates of the real program, with blocks that learn at rates of their own, and an evaluation."""
    quick = ("data=sample", "transform.size=64", "trainer.batch_size=8", "trainer.num_workers=0", "trainer.epochs=1")
    options = ("trainer.max_steps=2", "optimizer=adamw", "optimizer.layer_decay=0.8", "run.name=tuned")
    drops = [] if imgcls.model_info(name).module in ("repvgg", "pp_hgnet", "pp_lcnet") else ["model.args.drop_path=0.1"]
    run_program("train", f"model={name}", *drops, *quick, *options, cwd=tmp_path)
    run = tmp_path / "outputs" / "tuned"
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    assert (run / "checkpoints" / "last" / "network.pdparams").is_file()
