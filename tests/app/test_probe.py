"""Runs that train the head first, on features that are computed once."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from tiny_run import TINY, last, rows

import imgcls
from imgcls.app.probe import _is_of
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.feature_maps import feature_engine
from imgcls.errors import UserError
from imgcls.weights.safe_pickle import load_pickle

PROBE = (*TINY, "probe.enabled=true", "optimizer.lr=0.05")
TWO_PARTS = (*PROBE, "data.train_size=24", "probe.epochs=1", "probe.lr=0.1", "callbacks.ema.enabled=true")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def train(*overrides: str, run: str):
    return imgcls.train(*overrides, run=run).path


def weights(run):
    return load_pickle(last(run) / "network.pdparams")


def test_a_head_on_features_is_what_it_is_with_a_frozen_body():
    """With a view for each epoch, what is random is the same as well; but for the order in which sums are rounded."""
    frozen = train(
        *TINY, "data.train_size=24", "optimizer.lr=0.05", "model.freeze=['stem*','blocks*','norm*']", run="frozen"
    )
    probed = train(*PROBE, "data.train_size=24", "probe.views=2", run="probed")
    before, after = weights(frozen), weights(probed)
    for name, value in before.items():
        assert np.allclose(value, after[name], rtol=1e-4, atol=1e-5), name
    for one, two in zip(rows(frozen), rows(probed), strict=True):
        assert float(one["train_loss"]) == pytest.approx(float(two["train_loss"]), rel=1e-4)
        assert float(one["val_loss"]) == pytest.approx(float(two["val_loss"]), rel=1e-4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two parts of three updates each, never stopped."""
    with pytest.MonkeyPatch.context() as there:
        there.chdir(tmp_path_factory.mktemp("whole"))
        return train(*TWO_PARTS, run="whole").absolute()


@pytest.mark.parametrize("steps", [pytest.param(2, marks=pytest.mark.full), 3, pytest.param(5, marks=pytest.mark.full)])
def test_a_run_of_two_parts_resumes_to_the_same_bits(whole, steps):
    """Stopped within the first part, at its end, and within the second."""
    train(*TWO_PARTS, f"trainer.max_steps={steps}", run="whole")
    halved = train("trainer.resume=auto", "trainer.max_steps=null", run="whole")
    assert not (whole / "features").exists()
    assert_same_weights(whole, halved)


def assert_same_weights(one, two):
    assert last(one).name == last(two).name
    for name in ("network.pdparams", "optimizer.pdopt", "ema.pdparams"):
        before, after = (load_pickle(last(run) / name) for run in (one, two))
        assert before.keys() == after.keys()
        for key, value in before.items():
            assert np.array_equal(value, after[key]), key


PHOTOS = ("data=sample", "transform.size=32", "trainer.epochs=1", "optimizer.lr=0", "optimizer.weight_decay=0")
PROBED = (*PHOTOS, "trainer.num_workers=0", "probe.enabled=true", "probe.from_classes=true")
OF_CLASS = [20, 10, 18, 20, 17]
"""Bundled photos for training."""


def test_a_head_begins_with_what_that_of_the_weights_says_of_each_class():
    """A class's row is the mean of the rows of 1,000 classes, by how probable they are in its pictures."""
    run = train(*PROBED, "model=squeezenet1_1", run="conv")
    old = imgcls.create_model("squeezenet1_1", pretrained=True)
    old.eval()
    expected = expected_head(run, old)
    found = weights(run)
    assert np.allclose(found["head.weight"], np.einsum("ck,kdij->cdij", expected, old.head.weight.numpy()), atol=1e-6)
    assert np.allclose(found["head.bias"], expected @ old.head.bias.numpy(), atol=1e-6)


def expected_head(run, old) -> np.ndarray:
    """Shares of the old classes in the new ones."""
    with paddle.no_grad():
        probable = F.softmax(old.forward_head(paddle.to_tensor(np.load(run / "features" / "train.npy")[0]))).numpy()
    return np.stack([part.mean(0) for part in np.split(probable, np.cumsum(OF_CLASS)[:-1])])


def test_a_head_begins_with_that_of_a_run_of_other_classes():
    """Whose last layer is a ``Linear``; and where the classes are as many, it is taken as it is."""
    first = train(*TINY, "data.num_classes=7", run="first")
    network = ("model=densenet121", "model.args.repeats=[1,1,1,1]", "model.args.growth=4", f"model.pretrained={first}")
    run = train(*PROBED, *network, run="linear")
    old = imgcls.create_model("densenet121", repeats=[1, 1, 1, 1], growth=4, num_classes=7, pretrained=first)
    old.eval()
    expected, found = expected_head(run, old), weights(run)
    assert np.allclose(found["head.weight"], old.head.weight.numpy() @ expected.T, atol=1e-6)
    assert np.allclose(found["head.bias"], expected @ old.head.bias.numpy(), atol=1e-6)
    as_many = train(*TINY, "data.num_classes=5", run="as_many")
    again = train(*PROBED, *network[:-1], f"model.pretrained={as_many}", run="again")
    best = load_pickle(as_many / "checkpoints" / "best" / "network.pdparams")
    assert np.array_equal(weights(again)["head.weight"], best["head.weight"])


def test_features_are_used_again_until_something_changes():
    run = train(*PROBE, "data.train_size=24", "trainer.epochs=1", run="again")
    about = json.loads((run / "features" / "features.json").read_text())
    assert np.load(run / "features" / "train.npy").shape == (1, 24, 8, 1, 1)  # the means, which is all a head needs
    written = (run / "features" / "train.npy").stat().st_mtime_ns
    train("trainer.resume=auto", "trainer.epochs=2", run="again")
    assert (run / "features" / "train.npy").stat().st_mtime_ns == written
    for key in ("weights", "transform", "splits"):
        assert not _is_of(run / "features", {**about, key: {"train": "others"}})
    (run / "features" / "train.npy").write_bytes(b"cut off")
    assert not _is_of(run / "features", about)


class Plain(nn.Layer):
    def __init__(self, num_classes=5):
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, stride=2)
        self.head = nn.Linear(8, num_classes)

    def forward_features(self, images):
        return F.relu(self.conv(images))

    def forward_head(self, maps):
        return self.head(paddle.mean(maps, axis=[2, 3]))

    def forward(self, images):
        return self.forward_head(self.forward_features(images))


class Doubled(Plain):
    def forward(self, images):
        return 2 * super().forward(images)


class Corner(Plain):
    """Its head looks at more than the mean."""

    def forward_head(self, maps):
        return self.head(maps[:, :, 0, 0])


SEEN = Preprocessing(
    size=32, resize_size=36, interpolation="linear", resampling="pillow", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
)


@pytest.mark.parametrize(("network", "side"), [(Plain, 1), (Corner, 15)])
def test_no_more_is_kept_than_the_head_looks_at(network, side):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    network = network()
    network.eval()
    with feature_engine(network, SEEN) as engine:
        found = engine(images)
    assert found.shape == (3, 8, side, side)
    with paddle.no_grad():
        expected = network(SEEN.normalize(paddle.to_tensor(images))).numpy()
        assert np.allclose(network.forward_head(paddle.to_tensor(found)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_that_does_more_than_its_parts_is_refused():
    refused = pytest.raises(UserError, match=r"Doubled does more than forward_features and forward_head")
    with refused, feature_engine(Doubled(), SEEN):
        pass


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("callbacks.mixup.enabled=true",), "callbacks.mixup changes pictures"),
        (("probe.views=-1",), "probe.views=-1: must be at least 0."),
        (
            ("trainer.epochs=4", "probe.epochs=2", "lr_schedule.warmup_epochs=2"),
            "lr_schedule.warmup_epochs=2: must be less than the 2 epochs that follow probe.epochs=2.",
        ),
    ],
)
def test_mistakes(wanted, message, ask, tmp_path):
    result = ask("train", *PROBE, *wanted, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_range_test_of_rates_has_no_part_for_the_head(ask, tmp_path):
    result = ask("lr_find", "experiment=linear_probe", cwd=tmp_path)
    assert result.returncode == 2
    assert "leave out probe.enabled and recipes that set it." in result.stderr


def test_two_ranks_begin_with_the_same_head(run_program, tmp_path):
    wanted = (*PROBED, "model=squeezenet1_1", "trainer.batch_size=16")
    one = train(*wanted, run="one")
    run_program("train", *wanted, "trainer.processes=2", "run.name=two", cwd=tmp_path)
    assert np.allclose(weights(one)["head.weight"], weights(tmp_path / "outputs" / "two")["head.weight"], atol=1e-6)


@pytest.mark.full
def test_two_ranks_train_what_one_does(run_program, tmp_path):
    wanted = ("trainer.epochs=2", "probe.epochs=1", "trainer.sync_bn=true", "trainer.num_workers=1")
    one = train(*PROBE, *wanted, run="one")
    run_program("train", *PROBE, *wanted, "trainer.processes=2", "run.name=two", cwd=tmp_path)
    before, after = weights(one), weights(tmp_path / "outputs" / "two")
    for name, value in before.items():
        assert np.allclose(value, after[name], rtol=1e-3, atol=1e-4), name
