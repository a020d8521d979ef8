"""How fast networks train here, beside the same networks of torchvision and timm in the same run."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from imgcls.benchmarks.turns import Contestant, Program, Result, take_turns
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.progress import progress_bar
from imgcls.run.launcher import Job

OWN, THEIRS = "imgcls", "torch"
OWN_WAYS = {"eager": False, "compiled": True, "onednn": "onednn", "auto": "auto"}
"""``trainer.compile`` by the name of a row."""

SAME_NETWORK = {
    "squeezenet1_0": {"torchvision": "squeezenet1_0"},
    "squeezenet1_1": {"torchvision": "squeezenet1_1"},
    "mobilenetv1": {"timm": "mobilenetv1_100"},
    "mobilenetv2": {"torchvision": "mobilenet_v2", "timm": "mobilenetv2_100"},
    "mobilenetv3_large_x1_0": {"torchvision": "mobilenet_v3_large", "timm": "mobilenetv3_large_100"},
    "mobilenetv3_small_x1_0": {"torchvision": "mobilenet_v3_small", "timm": "mobilenetv3_small_100"},
    "shufflenetv2": {"torchvision": "shufflenet_v2_x1_0"},
    "efficientnetb0": {"torchvision": "efficientnet_b0", "timm": "efficientnet_b0"},
    "resnet18_vd": {"timm": "resnet18d"},
    "resnet50_vd": {"timm": "resnet50d"},
    "resnext101_32x8d_wsl": {"torchvision": "resnext101_32x8d", "timm": "resnext101_32x8d"},
    "se_resnext50_32x4d": {"timm": "seresnext50_32x4d"},
    "res2net50_26w_4s": {"timm": "res2net50_26w_4s"},
    "hrnet_w18_c": {"timm": "hrnet_w18"},
    "dpn68": {"timm": "dpn68"},
    "darknet53": {"timm": "darknet53"},
    "inceptionv4": {"timm": "inception_v4"},
    "xception41": {"timm": "xception41"},
    "alexnet": {"torchvision": "alexnet"},
    "googlenet": {"torchvision": "googlenet"},
    "pplcnet_x1_0": {"timm": "lcnet_100"},
    "pphgnet_tiny": {"timm": "hgnet_tiny"},
    "pphgnet_small": {"timm": "hgnet_small"},
    "pphgnetv2_b0": {"timm": "hgnetv2_b0"},
}
"""Their names, by library, where these are not ours in both."""

HEADINGS = ("network", "batch", "by", "img/s", "spread", "ours\neager", "ours\nbest", "CPU ms\nan image")
NARROW = {"box": SIMPLE, "show_edge": False, "pad_edge": False, "collapse_padding": True}
IDLE_SHARE = 0.05
"""Of all cores; a machine on which others have more is not idle."""

SAME_COUNT = 0.02
"""Largest relative difference in parameters of what is said to be the same network."""


def measure_against(
    networks: Sequence[tuple[str, int]],
    *,
    torch_python: str,
    libraries: Sequence[str],
    ways: Sequence[str],
    processes: Sequence[int],
    layouts: Sequence[str],
    batch_sizes: Sequence[int],
    rounds: int,
    seconds: float,
) -> Iterator[Table]:
    """A table of images/s and one of ratios; for each network and batch, ways of ours and layouts of theirs take turns.

    Args:
        networks: names and pixels of a side.
        torch_python: an interpreter with torch, and the ``libraries`` torchvision and timm as far as they are named.
        ways: of ``OWN_WAYS``; layouts: of torch, ``NCHW`` and ``NHWC`` (its channels-last).
        processes: of ours, that share a batch.
        seconds: of a turn.

    Raises:
        UserError: the interpreter cannot be started, or has no torch.
    """
    own_command = [sys.executable, "-m", "imgcls.app.training_steps"]
    their_command = [torch_python, str(Path(__file__).with_name("torch_steps.py")), str(cpu.usable_cores())]
    environment = cpu.inherited_environment()
    with Program(their_command, [environment]) as theirs:
        said = theirs.ask(do="hello")
    if "error" in said:
        raise UserError(f"benchmark.torch_python={torch_python} must be a Python that has torch: it {said['error']}.")
    table = Table(*HEADINGS, title=_title(rounds, said["versions"]["torch"]), caption_justify="left", **NARROW)
    ratios = "network", "batch", "default to default", "best to best"
    short = Table(*ratios, title="images/s, ours over theirs", **NARROW)
    for column in (*table.columns[3:], *short.columns[2:]):
        column.justify = "right"
    notes: list[str] = []
    others: list[float] = []
    for (name, size), batch_size in progress_bar(list(product(networks, batch_sizes)), desc="networks"):
        contestants = [
            *(one for count in processes for one in _own(name, size, batch_size, ways, count)),
            *_theirs(name, size, batch_size, libraries, layouts),
        ]
        # Fresh processes for each, since neither gives all memory back.
        with ExitStack() as stack:
            programs = {THEIRS: stack.enter_context(Program(their_command, [environment]))}
            for count in processes:
                shares = [environment | one for one in Job(count).environments()] if count > 1 else [environment]
                programs[_own_program(count)] = stack.enter_context(Program(own_command, shares))
            results = take_turns(programs, contestants, rounds, seconds)
        _add_rows(table, short, f"{name}@{size}", batch_size, contestants, results, notes)
        others += [share for result in results.values() for share in result.others]
    table.caption = "\n".join([_machine(others), *(f"[{n}] {escape(note)}" for n, note in enumerate(notes, start=1))])
    yield table
    yield short


def busy_remark(others: Sequence[float]) -> str | None:
    """What makes these figures doubtful, if anything: cores that other programs had while each was measured."""
    mean = sum(others) / max(len(others), 1)
    if mean <= IDLE_SHARE * cpu.usable_cores():
        return None
    return (
        f"WARNING: other programs had {mean:.1f} of {cpu.usable_cores()} cores meanwhile. Figures of a busy machine "
        "say little: load made the same pair read 0.9 and 2.8. The processor's time is the steadiest of them."
    )


def _own_program(processes: int) -> str:
    return OWN if processes == 1 else f"{OWN} x{processes}"


def _own(name: str, size: int, batch_size: int, ways: Sequence[str], processes: int = 1) -> list[Contestant]:
    common = {"name": name, "size": size, "batch_size": batch_size}
    program = _own_program(processes)
    return [Contestant(program, f"{program} {way}", {**common, "way": way}) for way in ways]


def _theirs(
    name: str, size: int, batch_size: int, libraries: Sequence[str], layouts: Sequence[str]
) -> list[Contestant]:
    known = SAME_NETWORK.get(name, dict.fromkeys(("torchvision", "timm"), name))
    return [
        Contestant(
            THEIRS,
            f"{library} {layout}",
            {"library": library, "name": known[library], "layout": layout, "size": size, "batch_size": batch_size},
        )
        for library, layout in product([one for one in libraries if one in known], layouts)
    ]


def _title(rounds: int, version: str) -> str:
    machine = f"{cpu.name()}, {cpu.usable_cores()} cores"
    return f"training, float32, {machine}; torch {version}; medians of {rounds} rounds in turn"


def _machine(others: Sequence[float]) -> str:
    mean = sum(others) / max(len(others), 1)
    said = busy_remark(others) or f"Other programs had {mean:.2f} of {cpu.usable_cores()} cores meanwhile."
    said = f"{said} Load {cpu.load():.1f}."
    columns = "spread: half of the range, of the median. ours: img/s of ours, as it comes and at best, over the row's."
    return f"{said}\n{columns}"


def _add_rows(
    table: Table,
    short: Table,
    network: str,
    batch_size: int,
    contestants: Sequence[Contestant],
    results: dict[str, Result],
    notes: list[str],
) -> None:
    rates = {label: batch_size * median(result.rates) for label, result in results.items() if not result.reason}
    own = {one.label: rates[one.label] for one in contestants if one.program != THEIRS and one.label in rates}
    theirs = {one.label: rates[one.label] for one in contestants if one.program == THEIRS and one.label in rates}
    eager = own.get(f"{OWN} eager")
    trained = next((results[label].known["parameters"] for label in own), None)
    for number, one in enumerate(contestants):
        result, labels = results[one.label], (network, str(batch_size)) if number == 0 else ("", "")
        reason = result.reason or _another(result, trained)
        if reason and reason not in notes:
            notes.append(reason)
        mark = f" [{notes.index(reason) + 1}]" if reason else ""
        shown = escape(one.label + mark)
        if result.reason:
            table.add_row(*labels, shown, *"-----")
            continue
        rate = rates[one.label]
        middle = median(result.rates)
        spread = (max(result.rates) - min(result.rates)) / 2 / middle
        against = [eager, max(own.values())] if one.program == THEIRS and own else [None, None]
        ratios = [_ratio(value, rate) for value in against]
        milliseconds = 1000 * median(result.cpu) / batch_size
        table.add_row(*labels, shown, f"{rate:.1f}", f"{spread:.0%}", *ratios, f"{milliseconds:.0f}")
    plain = [rate for label, rate in theirs.items() if label.endswith("NCHW")]
    best = _ratio(max(own.values(), default=None), max(theirs.values(), default=None))
    short.add_row(network, str(batch_size), _ratio(eager, max(plain, default=None)), best)


def _another(result: Result, own: int | None) -> str | None:
    count = result.known["parameters"]
    if own is None or abs(count - own) <= SAME_COUNT * own:
        return None
    return f"not the same network: {count:,} parameters, ours has {own:,}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one and other else "-"
