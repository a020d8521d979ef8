"""Programs that take turns, and what a comparison with torch says of them."""

import json
import os
import sys
from dataclasses import replace

import pytest
from paddles import ON_PADDLE_3

from imgcls.benchmarks import against
from imgcls.benchmarks.against import busy_remark, measure_against
from imgcls.benchmarks.turns import Contestant, Program, Result, take_turns
from imgcls.errors import UserError
from imgcls.machine import cpu

COUNTING = """
import json, sys
made = []
for line in sys.stdin:
    asked = json.loads(line)
    print("what libraries say", file=sys.stderr)
    if asked["do"] == "make":
        made.append(asked["key"])
        said = {"parameters": asked["parameters"]}
    elif asked["key"] == "broken":
        said = {"error": "out of order"}
    elif asked["key"] == "dying":
        sys.exit("killed by a stone")
    else:
        said = {"steps": 4, "seconds": 2.0, "cpu": 1.0}
    print(json.dumps(said), flush=True)
"""


@pytest.fixture
def program():
    with Program([sys.executable, "-c", COUNTING], [os.environ]) as started:
        yield started


def contestants(*labels: str) -> list[Contestant]:
    return [Contestant("it", label, {"parameters": 10}) for label in labels]


def test_each_has_a_turn_a_round(program):
    results = take_turns({"it": program}, contestants("one", "two", "broken"), rounds=3, seconds=0)
    assert [results[label].rates for label in ("one", "two", "broken")] == [[2.0] * 3, [2.0] * 3, []]
    assert results["one"].cpu == [0.25] * 3
    assert results["one"].known == {"parameters": 10}
    assert results["broken"].reason == "out of order"
    assert len(results["two"].others) == 3


def test_what_ends_is_a_reason_with_its_last_words(program):
    results = take_turns({"it": program}, contestants("dying", "one"), rounds=1, seconds=0)
    assert results["dying"].reason == "ended with status 1: killed by a stone"
    assert results["one"].reason.startswith("ended with status 1")


def test_what_the_machine_has_killed_for_want_of_memory_is_said():
    dies = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"
    with Program([sys.executable, "-c", dies], [os.environ]) as program:
        answer = program.ask(do="make")
    assert answer == {"error": "was killed (signal SIGKILL), most likely because the machine ran out of memory"}


def test_the_machines_busy_time_grows_with_work():
    before = cpu.busy_seconds()
    began = os.times().user
    while os.times().user - began < 0.3:
        pass
    assert cpu.busy_seconds() - before > 0.2


def test_a_busy_machine_is_said():
    cores = cpu.usable_cores()
    assert busy_remark([0.01 * cores]) is None
    assert busy_remark([]) is None
    assert f"WARNING: other programs had {0.5 * cores:.1f} of {cores} cores" in busy_remark([0.4 * cores, 0.6 * cores])


def test_ratios_are_ours_over_theirs():
    ours = replace(Result(known={"parameters": 100}), rates=[2.0, 1.0, 3.0], cpu=[0.5] * 3, others=[0.0])
    fast = replace(ours, rates=[4.0] * 3)
    theirs = replace(ours, rates=[1.0, 1.0, 2.0])
    other = replace(theirs, known={"parameters": 200})
    wanted = [
        *against._own("resnet18", 32, 8, ["eager", "onednn"]),
        *against._theirs("resnet18", 32, 8, ["torchvision", "timm"], ["NCHW"]),
    ]
    labels = [one.label for one in wanted]
    assert labels == ["imgcls eager", "imgcls onednn", "torchvision NCHW", "timm NCHW"]
    table, short = against.Table(*against.HEADINGS), against.Table(*"abcd")
    notes: list[str] = []
    results = dict(zip(labels, (ours, fast, theirs, other), strict=True))
    against._add_rows(table, short, "resnet18@32", 8, wanted, results, notes)
    cells = [[str(cell) for cell in column._cells] for column in table.columns]
    assert cells[3] == ["16.0", "32.0", "8.0", "8.0"]  # images/s: medians of 2, 4 and 1 steps of 8
    assert cells[4] == ["50%", "0%", "50%", "50%"]
    assert cells[5:7] == [["-", "-", "2.00", "2.00"], ["-", "-", "4.00", "4.00"]]
    assert notes == ["not the same network: 200 parameters, ours has 100"]
    assert [[*column._cells] for column in short.columns[2:]] == [["2.00"], ["4.00"]]


def test_names_of_the_same_networks_are_registered():
    from imgcls.models.registry import list_models

    assert set(against.SAME_NETWORK) <= set(list_models())


def test_an_interpreter_without_torch_is_refused(tmp_path):
    nobody = tmp_path / "python"
    common = {"libraries": ["timm"], "ways": ["eager"], "processes": [1], "layouts": ["NCHW"], "batch_sizes": [2]}
    with pytest.raises(UserError, match="cannot be started"):
        next(measure_against([("resnet18", 32)], torch_python=str(nobody), rounds=1, seconds=0, **common))
    nobody.write_text("#!/bin/sh\necho 'No module named torch' >&2\nexit 3\n")
    nobody.chmod(0o755)
    with pytest.raises(UserError, match="has torch: it ended with status 3: No module named torch"):
        next(measure_against([("resnet18", 32)], torch_python=str(nobody), rounds=1, seconds=0, **common))
    nobody.write_text("#!/bin/sh\nread asked; echo hello\n")
    with pytest.raises(UserError, match="has torch: it said 'hello'"):
        next(measure_against([("resnet18", 32)], torch_python=str(nobody), rounds=1, seconds=0, **common))


def test_steps_of_ours_are_training():
    """Of both ways of ours in one process, as the comparison has them."""
    command = [sys.executable, "-m", "imgcls.app.training_steps"]
    with Program(command, [cpu.inherited_environment()]) as own:
        common = {"name": "mobilenetv1_x0_25", "size": 32, "batch_size": 2}
        wanted = [
            Contestant("it", way, {**common, "way": way}) for way in ("eager", *([] if ON_PADDLE_3 else ["onednn"]))
        ]
        results = take_turns({"it": own}, wanted, rounds=1, seconds=0)
        unknown = own.ask(do="make", key="x", way="eager", name="no_network", size=32, batch_size=2)
    for result in results.values():
        assert result.reason is None
        assert result.known["parameters"] == 470_072
        assert result.rates[0] > 0
    assert "no_network" in json.dumps(unknown["error"])
