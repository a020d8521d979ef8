"""What may differ between weights and a network, what may not, and the report on it."""

import numpy as np
import paddle
import pytest

from imgcls import create_model, model_info
from imgcls.errors import UserError
from imgcls.models.layers import fluid_names
from imgcls.weights.load import load_into, load_pretrained
from imgcls.weights.report import Mismatch, Stored, WeightsMismatch


def arrays_of(network):
    return {key: tensor.numpy() for key, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def source():
    """A network with values of its own, and its tensors by structured and by fluid name."""
    paddle.seed(1)
    network = create_model("shufflenetv2_x0_25", num_classes=10)
    structured = arrays_of(network)
    names = fluid_names(network)
    return {"structured": structured, "fluid": {names[key]: array for key, array in structured.items()}}


@pytest.fixture
def network():
    paddle.seed(2)
    return create_model("shufflenetv2_x0_25", num_classes=10)


def equal(network, arrays, keys=None):
    state = network.state_dict()
    return all(np.array_equal(state[key].numpy(), arrays[key]) for key in keys or state)


@pytest.mark.parametrize("naming", ["structured", "fluid"])
@pytest.mark.parametrize("told", [True, False])
def test_either_naming_told_or_found_out(source, network, naming, told):
    assert not equal(network, source["structured"])
    report = load_into(network, source[naming], naming if told else None)
    assert equal(network, source["structured"])
    assert report.loaded == list(network.state_dict())
    assert (report.reinitialised, report.missing, report.excluded, report.unexpected) == ([], [], [], [])


def test_another_class_count_reinitialises_the_head(source):
    network = create_model("shufflenetv2_x0_25", num_classes=7)
    report = load_into(network, source["fluid"], source="old.tar")
    assert report.reinitialised == [
        Mismatch("head.weight", (512, 10), (512, 7)),
        Mismatch("head.bias", (10,), (7,)),
    ]
    assert equal(network, source["structured"], report.loaded)
    assert network.head.bias.numpy().tolist() == [0] * 7
    assert network.head.weight.numpy().std() == pytest.approx(0.01, rel=0.1)
    assert len(report.loaded) == len(source["fluid"]) - 2
    assert report.summary() == (
        f"{len(report.loaded)} tensors loaded from old.tar\n"
        "2 re-initialised (another class count): head.weight [512, 10] -> [512, 7], head.bias [10] -> [7]"
    )


def test_a_head_that_is_a_convolution_and_auxiliary_heads():
    for name, heads in (("squeezenet1_1", 1), ("googlenet", 3)):
        arrays = arrays_of(create_model(name, num_classes=10))
        report = load_into(create_model(name, num_classes=4), arrays)
        assert len(report.reinitialised) == 2 * heads
        assert len(report.loaded) == len(arrays) - 2 * heads


def test_any_other_shape_is_an_error_and_loads_nothing(source, network):
    before = arrays_of(network)
    arrays = dict(source["fluid"])
    arrays["conv5_weights"] = arrays["conv5_weights"][:, :-1]
    arrays["fc6_weights"] = arrays["fc6_weights"][:-1, :5]
    with pytest.raises(WeightsMismatch) as raised:
        load_into(network, arrays, source="old.tar")
    assert [mismatch.have for mismatch in raised.value.mismatched] == [(512, 95, 1, 1), (511, 5)]
    message = str(raised.value)
    assert "old.tar does not fit the network; nothing was loaded." in message
    assert "= 'conv5_weights' [512, 95, 1, 1] -> [512, 96, 1, 1]" in message
    assert "head.weight = 'fc6_weights' [511, 5] -> [512, 10]" in message
    assert equal(network, before)


def test_missing_tensors_are_an_error_unless_allowed(source, network):
    arrays = dict(source["structured"])
    del arrays["head.bias"]
    before = arrays_of(network)
    with pytest.raises(WeightsMismatch, match=r"1 missing in the file: head\.bias") as raised:
        load_into(network, arrays)
    assert raised.value.missing == ["head.bias"]
    assert equal(network, before)
    report = load_into(network, arrays, strict=False)
    assert report.missing == ["head.bias"]
    assert "1 missing, left as they were: head.bias" in report.summary()
    assert equal(network, source["structured"], report.loaded)
    assert equal(network, before, ["head.bias"])


def test_what_is_not_filled_or_not_used_is_a_warning(source, network, tmp_path, caplog):
    """Which Python shows where nothing was done about logs; what fits exactly is none."""
    info, path = model_info("shufflenetv2_x0_25"), str(tmp_path / "weights.pdparams")
    for extra, exclude, words in (
        ({}, [], None),
        ({"odd": np.zeros(3, np.float32)}, [], "1 in the file but not in the network: odd [3]"),
        ({}, ["head"], "2 excluded, left as they were: head.weight, head.bias"),
    ):
        paddle.save({name: paddle.to_tensor(array) for name, array in (source["structured"] | extra).items()}, path)
        caplog.clear()
        load_pretrained(network, info, path, exclude)
        warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(warned) == (words is not None)
        assert words is None or words in warned[0]


def test_unexpected_tensors_are_reported(source, network):
    extra = {f"odd_{index}": np.zeros((index, 2), np.float32) for index in range(9)}
    report = load_into(network, source["fluid"] | extra)
    assert report.unexpected[3] == Stored("odd_3", (3, 2))
    assert (len(report.unexpected), report.training_state) == (9, 0)
    assert "9 in the file but not in the network: odd_0 [0, 2], " in report.summary()
    assert report.summary().endswith("odd_5 [5, 2], and 3 more")


def test_weights_of_another_network(network):
    with pytest.raises(WeightsMismatch, match="No tensor of the file fits: these are weights of something else"):
        load_into(network, arrays_of(create_model("squeezenet1_1")))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("fc6", {"fc6_weights", "fc6_offset"}),  # part of a fluid name, as the original's flag
        ("head.", {"fc6_weights", "fc6_offset"}),  # part of a state_dict key
        ("fc6_w*", {"fc6_weights"}),
        ("conv5_bn_[ms]*", {"conv5_bn_mean", "conv5_bn_scale"}),
        ("fc?_offset", {"fc6_offset"}),
    ],
)
def test_exclude_matches_both_names(source, network, pattern, names):
    before = arrays_of(network)
    report = load_into(network, source["fluid"], exclude=[pattern])
    assert {fluid_names(network)[key] for key in report.excluded} == names
    assert equal(network, before, report.excluded)
    assert equal(network, source["structured"], report.loaded)
    assert f"{len(names)} excluded, left as they were: " in report.summary()


def test_excluded_tensors_may_be_missing_or_of_any_shape(source, network):
    arrays = dict(source["fluid"], conv5_weights=np.zeros(3, np.float32))
    del arrays["fc6_offset"]
    report = load_into(network, arrays, exclude="conv5_weights*,fc6_offset")
    assert len(report.excluded) == 2


def test_an_exclude_pattern_without_effect_is_an_error(source, network):
    with pytest.raises(UserError, match=r"'fc6_weigths' of model\.exclude .* Did you mean 'fc6_weights'") as raised:
        load_into(network, source["fluid"], exclude=["fc6_weigths"])
    assert "head.weight = fc6_weights, head.bias = fc6_offset." in str(raised.value)
    with pytest.raises(UserError, match=r"'nothing\*' of model\.exclude matches no tensor"):
        load_into(network, source["fluid"], exclude=["fc6", "nothing*"])


@pytest.mark.parametrize(
    ("in_channels", "expected"),
    [
        (1, lambda stem: stem.sum(axis=1, keepdims=True)),
        (2, lambda stem: stem[:, [0, 1]] * 3 / 2),
        (4, lambda stem: stem[:, [0, 1, 2, 0]] * 3 / 4),
        (6, lambda stem: stem[:, [0, 1, 2, 0, 1, 2]] / 2),
    ],
)
def test_other_input_channels(source, in_channels, expected):
    network = create_model("shufflenetv2_x0_25", num_classes=10, in_channels=in_channels)
    report = load_into(network, source["fluid"])
    assert [(mismatch.have[1], mismatch.want[1]) for mismatch in report.adapted] == [(3, in_channels)]
    assert "1 adapted (another number of input channels): " in report.summary()
    stem = network.state_dict()[report.adapted[0].name].numpy()
    np.testing.assert_allclose(stem, expected(source["fluid"]["stage1_conv_weights"]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("in_channels", [1, 6])
def test_a_grey_image_gives_what_it_gave(source, in_channels):
    rgb = create_model("shufflenetv2_x0_25", num_classes=10)
    network = create_model("shufflenetv2_x0_25", num_classes=10, in_channels=in_channels)
    load_into(rgb, source["fluid"])
    load_into(network, source["fluid"])
    rgb.eval()
    network.eval()
    grey = paddle.randn([2, 1, 64, 64])
    expected = rgb(grey.expand([2, 3, 64, 64])).numpy()
    actual = network(grey.expand([2, in_channels, 64, 64])).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-5 * expected.std())


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_become_the_networks(source, network, dtype):
    load_into(network, {name: array.astype(dtype) for name, array in source["fluid"].items()})
    stored = source["structured"]["head.weight"].astype(dtype).astype("float32")
    assert network.head.weight.dtype == paddle.float32
    assert np.array_equal(network.head.weight.numpy(), stored)


def test_bfloat16_as_paddle_saves_it(source, network, tmp_path):
    low = {key: paddle.to_tensor(array).astype("bfloat16") for key, array in source["structured"].items()}
    paddle.save(low, str(tmp_path / "low.pdparams"))
    load_pretrained(network, model_info("shufflenetv2_x0_25"), tmp_path / "low.pdparams")
    assert np.array_equal(network.head.weight.numpy(), low["head.weight"].astype("float32").numpy())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(source, network, bad):
    before = arrays_of(network)
    arrays = dict(source["fluid"], conv5_bn_mean=np.full(512, bad, np.float32))
    with pytest.raises(UserError, match=r"'conv5_bn_mean' in old\.tar holds 512 values that are not finite"):
        load_into(network, arrays, source="old.tar")
    assert equal(network, before)
    load_into(network, arrays, exclude=["conv5_bn_mean"])


def test_values_that_are_no_floats(source, network):
    with pytest.raises(UserError, match="'fc6_offset' in the weights holds int64 values"):
        load_into(network, dict(source["fluid"], fc6_offset=np.zeros(10, np.int64)))
