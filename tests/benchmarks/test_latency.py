"""The most accurate network within a time: which are measured, which are found, and what cannot be asked."""

import pytest

import imgcls
from imgcls.benchmarks.latency import Latency, choice_table, latencies, measured_latency, most_accurate
from imgcls.deploy import fastest
from imgcls.errors import UserError
from imgcls.models.__main__ import budget_of, main

NAMES = ("resnet18", "resnet50", "resnet50_vd_v2", "mobilenetv1", "vgg16", "squeezenet1_1", "resnet101_vd")


class Machine:
    """One that does 50 million multiplications a millisecond, and of a network with few channels a fifth."""

    def __init__(self):
        self.asked = []

    def __call__(self, info):
        self.asked.append(info.name)
        return Latency(info.macs / (10e6 if info.name.startswith("mobile") else 50e6), "inference")


def infos(names=NAMES):
    return [imgcls.model_info(name) for name in names]


def test_the_most_accurate_within_the_time_are_found():
    machine = Machine()
    choice = most_accurate(infos(), budget=90, count=2, latency=machine, tell=machine.asked.append)
    assert [info.name for info, _ in choice.within] == ["resnet50_vd_v2", "resnet50"]
    assert "vgg16" not in machine.asked  # 309 ms, which no rate seen so far makes likely
    assert "mobilenetv1" not in machine.asked  # less accurate than what was wanted
    assert choice.too_large == 1  # resnet101_vd, the most accurate
    assert all(latency.milliseconds <= 90 for _, latency in choice.within)


def test_what_is_slow_for_its_size_is_measured_and_left_out():
    machine = Machine()
    choice = most_accurate(infos(["mobilenetv1", "squeezenet1_1"]), 20, 5, latency=machine, tell=lambda line: None)
    assert machine.asked == ["resnet18", "mobilenetv1", "squeezenet1_1"]
    assert [info.name for info, _ in choice.within] == ["squeezenet1_1"]
    assert choice.measured["mobilenetv1"].milliseconds > 20


def test_a_network_without_a_published_accuracy_cannot_be_chosen():
    with pytest.raises(UserError, match="published accuracy"):
        most_accurate(infos(["fastimagenet"]), 20, 5, latency=Machine())


def test_a_measurement_is_of_this_machine_and_kept_while_it_is_idle(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    monkeypatch.setattr(fastest, "REST_SECONDS", 0)
    info = imgcls.model_info("mobilenetv1_x0_25")
    seen = {}

    def take(runs, images):
        for name, run in runs.items():
            seen[name] = run(images).shape
        return dict.fromkeys(runs, 1.0)

    assert set(latencies(info, take, threads=1).values()) == {1.0}
    assert set(seen.values()) == {(1, 1000)}
    assert images_of(info) == 224
    monkeypatch.setattr("imgcls.machine.cpu.load", lambda: 0.0)
    first = measured_latency(info)
    assert 0 < first.milliseconds < 10_000
    assert first.engine in seen
    assert len(list(tmp_path.glob("latency/*.json"))) == 1
    assert measured_latency(info) == first
    next(tmp_path.glob("latency/*.json")).write_text("[]")
    assert measured_latency(info).engine in seen  # damaged: measured again
    assert choice_table(most_accurate([info], 1e6, 1, latency=lambda _: first, tell=print), 1e6).row_count == 1


def images_of(info):
    return info.measured_size or info.input_size


@pytest.mark.parametrize(("text", "milliseconds"), [("20ms", 20), ("20 ms", 20), ("0.02s", 20), ("7.5", 7.5)])
def test_a_budget_has_a_unit(text, milliseconds):
    assert budget_of(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize("text", ["fast", "-3ms", "0ms", "20 fps"])
def test_a_budget_that_is_no_time(text, capsys):
    assert main(["--for", "cpu", f"--budget={text}"]) == 2
    assert f"--budget {text}: it must be a time" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--for", "cpu"], ["--budget", "20ms"], ["--for", "gpu", "--budget", "20ms"]])
def test_what_belongs_together(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "--for" in capsys.readouterr().err
