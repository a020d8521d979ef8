"""What many ranks cost, measured in real processes against the formulas and tables of ``docs/scaling.md``.

Bytes are those that the kernel counted on the ranks' TCP connections.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import ROOT
from tiny_run import starter
from together import finish_ranks

from imgcls.data.formats.samples import Samples
from imgcls.models.registry import build_model

PAGE = ROOT / "docs" / "scaling.md"
UPDATES = 6
GRADIENT_GROUPS = 2
HEADERS = 600
"""Bytes that an exchange may add from each of the other ranks, around what is in its messages."""


def ring(ranks: int, numbers: float) -> float:
    """Bytes that a rank receives while all add up as many float32 numbers."""
    return 2 * (ranks - 1) / ranks * 4 * numbers


def gathering(ranks: int, numbers: float) -> float:
    """Bytes that a rank receives while all show each other as many float32 numbers."""
    return (ranks - 1) * 4 * numbers


def update(ranks: int, parameters: int, statistics: int, synchronised_channels: list[int]) -> float:
    """Bytes that a rank receives in an update."""
    if not synchronised_channels:
        return ring(ranks, parameters + statistics + 2)
    norms = sum(gathering(ranks, 2 * channels + 1) + ring(ranks, 2 * channels) for channels in synchronised_channels)
    return ring(ranks, parameters + 2) + norms


def measure(directory: Path, kinds: Iterable[str], **ranks: int) -> dict[str, list[dict]]:
    """What each rank has noted, by kind of batch norms."""
    with starter(Path(__file__).parent) as start:
        for norms in kinds:
            finish_ranks(start, directory / "logs", "traffic", directory, norms, UPDATES, **ranks)
    return {
        norms: [json.loads(file.read_text()) for file in sorted(directory.glob(f"{norms}-*.json"))] for norms in kinds
    }


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.full)])
def costs(request, tmp_path_factory):
    """For networks whose batch norms are ``own`` and ``synchronised``; each rank a machine, as far as it knows."""
    return measure(tmp_path_factory.mktemp("costs"), ("own", "synchronised"), machines=request.param)


@pytest.mark.parametrize("norms", ["own", "synchronised"])
def test_bytes_of_an_update(costs, norms, capsys):
    ranks = costs[norms]
    for cost in ranks:
        expected = update(len(ranks), cost["parameters"], cost["statistics"], cost["norm_channels"])
        exchanges = GRADIENT_GROUPS + 1 + 2 * len(cost["norm_channels"])
        # A count may hold some of the next update's first message already: their mean does not.
        received = np.diff(cost["received"]).mean()
        assert 0 < received - expected < exchanges * HEADERS * (len(ranks) - 1)
    with capsys.disabled():
        print(f"\n{len(ranks)} ranks, norms {norms}: {received:,.0f} bytes an update, {expected:,.0f} by the formula")


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.full)])
def test_means_of_one_machine_stay_in_its_memory(tmp_path, processes):
    """Of gradients and statistics: what crosses is the loss, and whether a signal has come."""
    ranks = measure(tmp_path, ["own"], processes=processes)["own"]
    assert len(ranks) == processes
    for cost in ranks:
        expected = update(processes, 0, 0, [])
        received = np.diff(cost["received"]).mean()
        assert 0 < received - expected < HEADERS * (processes - 1)


def test_bytes_of_the_start(costs):
    """Weights and statistics come from rank 0, once."""
    first, *others = costs["own"]
    state = 4 * (first["parameters"] + first["statistics"])
    for cost in others:
        assert cost["received"][0] - np.diff(cost["received"])[0] == pytest.approx(state, rel=0.1)


def test_connecting_takes_seconds(costs):
    """From when the last rank is ready for it."""
    for ranks in costs.values():
        times = [cost["times"] for cost in ranks]
        assert max(t["joined"] for t in times) - max(t["imported"] for t in times) < 10


def test_state_in_memory_is_the_same_on_every_rank(costs):
    for cost in costs["own"]:
        assert cost["weights"] == 4 * (cost["parameters"] + cost["statistics"])
        assert cost["optimizer"] == 4 * cost["parameters"]
        assert cost["averages"] == cost["weights"]


def test_list_in_memory():
    """Of every rank, whatever their number: all of the paths, and 20 bytes for each."""
    paths = [[b"n%08d/n%08d_%05d.JPEG" % (label, label, image) for image in range(50)] for label in range(100)]
    samples = Samples.of_classes("photos", paths, tuple(map(str, range(100))))
    arrays = samples.starts.nbytes + samples.ends.nbytes + samples.labels.nbytes
    assert len(samples.text) + arrays == len(samples) * (len(paths[0][0]) + 20)


def table(heading: str) -> list[list[str]]:
    """Cells of the table below a heading of the page, without its head."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n#")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_table_of_bytes():
    """ResNet50_vd, 32 images on each rank; as on the page, in millions of bytes."""
    network = build_model("resnet50_vd")
    parameters = sum(p.size for p in network.parameters() if not p.stop_gradient)
    statistics = sum(p.size for p in network.parameters() if p.stop_gradient)
    channels = [layer.weight.size for layer in network.sublayers() if isinstance(layer, paddle.nn.BatchNorm2D)]
    rows = table("Bytes")
    assert [row[0] for row in rows] == ["1", "8", "32"]
    for ranks, own, synchronised, per_image in rows:
        expected = update(int(ranks), parameters, statistics, [])
        assert float(own) == pytest.approx(expected / 1e6, abs=0.05)
        assert float(synchronised) == pytest.approx(update(int(ranks), parameters, 0, channels) / 1e6, abs=0.05)
        assert float(per_image) == pytest.approx(expected / 32 / 1e6, abs=0.005)
    assert re.search(rf"{parameters:,} trainable", PAGE.read_text())
