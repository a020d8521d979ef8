"""The fastest way to train on this processor: which one is taken, and what is remembered of it."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import pytest
from paddles import ON_PADDLE_3

from imgcls.engine import fastest_way
from imgcls.engine.fastest_way import EAGER, take_fastest
from imgcls.engine.onednn import ROUNDING, gradients, require_equal
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.functional.losses import cross_entropy
from imgcls.machine import cpu, memory
from imgcls.machine.measured import remember, remembered
from imgcls.models.registry import build_model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    return tmp_path / "training"


def task():
    paddle.seed(1)
    network = build_model("mobilenetv1_x0_25", num_classes=5)
    network.train()
    images, labels = paddle.randn([3, 3, 32, 32]), paddle.arange(3)
    return network, images, lambda: cross_entropy(network(images), labels)


@pytest.mark.skipif(ON_PADDLE_3, reason="its graphs have no kernels of oneDNN to train with")
def test_what_is_taken_has_the_gradients_of_eager_training(cache, monkeypatch):
    """Measured here for once, whatever comes of it; and then remembered, to be measured anew on an idle machine."""
    monkeypatch.setattr(cpu, "is_busy", lambda: True)
    network, images, loss = task()
    exact, before = gradients(network, loss), images.clone()
    images.set_value(images * (1 + ROUNDING))
    nearby = gradients(network, loss)
    images.set_value(before)
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    name = take_fastest(network, images, loss)
    assert ("forward" in vars(network)) is (name != EAGER)
    require_equal(exact, [nearby], gradients(network, loss))
    assert all(np.array_equal(state[key], tensor.numpy()) for key, tensor in network.state_dict().items())
    file, lock = sorted(cache.iterdir())  # nothing of the trials is left
    assert (file.suffix, lock.suffix) == (".json", ".lock")
    content = json.loads(file.read_text())
    assert EAGER in content["milliseconds"]
    assert remembered(file, (EAGER, *fastest_way.GRAPHS)) == content["milliseconds"]
    monkeypatch.setattr(cpu, "is_busy", lambda: False)
    assert remembered(file, (EAGER, *fastest_way.GRAPHS)) is None
    file.write_text("damaged")
    assert remembered(file, (EAGER, *fastest_way.GRAPHS)) is None


def test_a_graph_must_be_worth_it():
    assert fastest_way._fastest({EAGER: 100.0, "onednn": 96.0}) == EAGER
    assert fastest_way._fastest({EAGER: 100.0, "onednn": 90.0, "onednn everywhere": 80.0}) == "onednn everywhere"


def test_the_way_of_a_run_is_kept_or_refused():
    network, images, loss = task()
    assert take_fastest(network, images, loss, EAGER) == EAGER
    assert "forward" not in vars(network)
    with pytest.raises(UserError, match=r"trainer\.compile=auto: by hand, which was the fastest, does not work here"):
        take_fastest(network, images, loss, "by hand")


def test_a_graph_without_the_memory_for_it_is_left_out(monkeypatch):
    monkeypatch.setattr(memory, "growth", lambda work: (work(), 10**9))
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    network, images, loss = task()
    assert take_fastest(network, images, loss) == EAGER
    assert "forward" not in vars(network)


def test_a_graph_that_has_ended_a_process_is_left_out(cache):
    """As some do by an abort, which nothing can catch."""
    network, images, loss = task()
    file = fastest_way._file(network, images, 1)
    for name in fastest_way.GRAPHS:
        fastest_way._touch(fastest_way._deadly(file, name))
    assert take_fastest(network, images, loss) == EAGER
    assert len(list(cache.glob("*.trying"))) == len(fastest_way.GRAPHS)
    assert not list(cache.glob("*.json"))


def test_what_is_known_is_of_all_ways(cache):
    """A way that was left out for want of memory is tried when there is more; one that ends processes is not."""

    def known(**milliseconds):
        remember(cache / "a.json", {name.replace("_", " "): time for name, time in milliseconds.items()}, False, {})
        return fastest_way._known(cache / "a.json")

    assert known(eager=9, onednn=5, onednn_everywhere=4) == {"eager": 9, "onednn": 5, "onednn everywhere": 4}
    assert known(eager=9, onednn=5) is None
    assert known(onednn=5, onednn_everywhere=4) is None
    assert known(eager=9, onednn=5, onednn_everywhere=math.inf)["onednn everywhere"] == math.inf  # it cannot be made
    fastest_way._touch(fastest_way._deadly(cache / "a.json", "onednn everywhere"))
    assert known(eager=9, onednn=5, onednn_everywhere=4) == known(eager=9, onednn=5) == {"eager": 9, "onednn": 5}


@pytest.mark.skipif(ON_PADDLE_3, reason="its graphs have no kernels of oneDNN to train with")
def test_a_graph_that_cannot_be_made_is_not_tried_again(cache, monkeypatch):
    monkeypatch.setattr(cpu, "is_busy", lambda: False)
    make = fastest_way.compile_with_onednn

    def some(network, images, loss, chosen):
        if chosen is not fastest_way.above_1x1:
            raise UserError("It cannot be translated.")
        make(network, images, loss, chosen)

    monkeypatch.setattr(fastest_way, "compile_with_onednn", some)
    network, images, loss = task()
    take_fastest(network, images, loss)
    known = fastest_way._known(fastest_way._file(network, images, 1))
    assert known["onednn everywhere"] == math.inf > known["onednn"]


def test_jobs_that_start_together_measure_one_after_the_other(cache, monkeypatch):
    """What another one is trying has not ended it; what it found is taken."""
    monkeypatch.setattr(cpu, "is_busy", lambda: False)
    network, images, loss = task()
    file = fastest_way._file(network, images, 1)
    with ThreadPoolExecutor(1) as pool:
        with fastest_way._alone(file):
            trying = fastest_way._deadly(file, "onednn")
            fastest_way._touch(trying)
            other = pool.submit(take_fastest, network, images, loss)
            assert not other.done()
            remember(file, {"eager": 1, "onednn": 9, "onednn everywhere": 9}, False, {})
            trying.unlink()
        assert other.result() == EAGER


def test_memory():
    assert memory.available() is None or memory.available() > 10**6
    cpu.keep_activations()
    np.ones(2 << 23)  # 128 MiB, which the C library keeps
    large, grown = memory.growth(lambda: np.ones(2 << 23))
    assert large.nbytes == 1 << 27
    assert grown is None or grown > 100 << 20


def test_where_there_are_no_such_graphs_it_is_eager():
    network = build_model("mobilenetv1_x0_25", num_classes=5, data_format="NHWC")
    trainer = Trainer(network, lambda images: images, compile="auto")
    assert trainer._eager_for.startswith("for graphs of this PaddlePaddle" if ON_PADDLE_3 else "for graphs are in NCHW")
    assert "way" not in trainer.state()
