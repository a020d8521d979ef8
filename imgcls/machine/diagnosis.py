"""What this machine has for the library, judged in words without importing Paddle: ``python -m imgcls.doctor``."""

import ast
import contextlib
import csv
import importlib.util
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from imgcls.errors import UserError, listed
from imgcls.machine.installation import (
    DISTRIBUTIONS,
    PADDLE_2,
    PADDLE_3,
    Version,
    numbers,
    require_companions,
    require_line,
    version_of,
)

PADDLES_INDEX = "https://www.paddlepaddle.org.cn/packages/stable"
WHEELS = {"cu118": (11, 8), "cu126": (12, 6), "cu129": (12, 9)}
"""GPU builds of PaddlePaddle 3 on Paddle's own index, and the CUDA that a driver must offer for each."""

FIRST_WHEEL = {6: "cu118", 7: "cu118", 8: "cu118", 9: "cu126"}
"""The oldest of them with kernels for a card, by the first number of its compute capability; newer ones: ``cu129``."""

ARCHITECTURES_OF_2 = (61, 70, 75, 80, 86)
"""What ``paddlepaddle-gpu`` 2.6.2 of PyPI is built for; its version file does not say."""

OF_EVERYBODY = ("cpu", "cpu3", "gpu", "test", "test3", "testing", "dev")
"""Extras that are not named: they bring Paddle itself, or serve those who work on the library."""

REQUIREMENT = re.compile(r"""^(?P<name>[\w.-]+).*;.*\bextra *== *['"](?P<extra>[\w.-]+)['"]""")

SECONDS = 60
"""So long a card may take for its first sum, and its driver for an answer."""

TRIAL = """
from imgcls.machine.installation import require_paddle
require_paddle()
import paddle
paddle.set_device("gpu:{number}")
assert paddle.matmul(paddle.ones([2, 3]), paddle.ones([3, 2])).sum().item() == 12
"""


@dataclass(frozen=True)
class Card:
    """A card as its driver describes it; ``capability`` is the compute capability, such as ``(8, 6)``."""

    name: str
    capability: Version
    driver: str
    cuda: Version

    def __str__(self) -> str:
        offers = f"driver {self.driver} (CUDA {dotted(self.cuda)})"
        return f"{self.name}, compute capability {dotted(self.capability)}, {offers}"


@dataclass(frozen=True)
class Build:
    """A Paddle as its files describe it; ``cuda`` is ``None`` for the CPU, ``architectures`` empty where unknown."""

    version: str
    cuda: Version | None
    architectures: tuple[int, ...]

    def __str__(self) -> str:
        kind = f"for CUDA {dotted(self.cuda)}" if self.cuda else "for the CPU"
        built = f", kernels for compute capability {listed(map(_capability, self.architectures))}"
        return f"PaddlePaddle {self.version} {kind}{built if self.architectures else ''}"

    def fits(self, card: Card) -> str | None:
        """Why it cannot use a card, in words; ``None`` where nothing speaks against it."""
        if self.cuda is None:
            return "this PaddlePaddle is a build for the CPU"
        if card.cuda < self.cuda:
            return f"its driver offers CUDA {dotted(card.cuda)}, and this PaddlePaddle needs {dotted(self.cuda)}"
        if self.architectures and not any(_runs_on(built, card.capability) for built in self.architectures):
            return f"this PaddlePaddle has no kernels for its compute capability {dotted(card.capability)}"
        return None


def installed_build() -> Build | None:
    """The Paddle that ``import paddle`` would find, from its version file; ``None`` where there is none."""
    with contextlib.suppress(ImportError, ValueError, OSError, SyntaxError):
        spec = importlib.util.find_spec("paddle")
        if spec is not None and spec.origin is not None:
            return read_build(Path(spec.origin).with_name("version") / "__init__.py")
    return None


def read_build(file: Path) -> Build:
    """What ``paddle/version/__init__.py`` says, without running it."""
    values = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
    version = str(values["full_version"]) if "full_version" in values else "of an unknown version"
    cuda = numbers(str(values.get("cuda_version", ""))) or None
    built = tuple(int(digits) for digits in re.findall(r"\d+", str(values.get("compiled_cuda_archs", ""))))
    if cuda and not built and PADDLE_2.has(version):
        built = ARCHITECTURES_OF_2
    return Build(version, cuda, built)


def cards() -> list[Card]:
    """NVIDIA's cards as ``nvidia-smi`` tells of them; none where there is no driver."""
    fields = "name,compute_cap,driver_version"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = _ask("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")
        return read_cards(told, _ask("nvidia-smi"))
    return []


def read_cards(table: str, page: str) -> list[Card]:
    """Cards of a table without a head (name, compute capability, driver), and the driver's CUDA of a whole page."""
    found = re.search(r"CUDA(?: UMD)? Version: *([\d.]+)", page)
    cuda = numbers(found[1]) if found else ()
    rows = [[cell.strip() for cell in row] for row in csv.reader(table.splitlines()) if len(row) == 3]
    return [Card(name, numbers(capability), driver, cuda) for name, capability, driver in rows]


def try_card(number: int) -> str | None:
    """Let the installed Paddle compute something on a card, in a process of its own; why it failed, in one line."""
    command = [sys.executable, "-c", TRIAL.format(number=number)]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it gave no answer within {SECONDS} seconds"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines[-1].strip()[:300] if lines else f"status {done.returncode}")


def advice_on_cards(build: Build | None, present: Sequence[Card], python: Version) -> Iterator[str]:
    """What to install so that the cards can be used; nothing for those that can be."""
    for card in present:
        if build is None or build.fits(card) is None:
            continue
        wheel = wheel_for(card)
        if wheel is None:
            yield (
                f"For {card.name}: renew NVIDIA's driver; it offers CUDA {dotted(card.cuda)}, and a PaddlePaddle for "
                f"this card needs {dotted(WHEELS[FIRST_WHEEL.get(card.capability[0], 'cu129')])}."
            )
        elif wheel == "cu118" and python < PADDLE_2.python_until and build.cuda is None and PADDLE_2.has(build.version):
            yield f'For {card.name}: pip uninstall paddlepaddle, then pip install "imgcls[gpu]"'
        else:
            yield (
                f"For {card.name}: pip uninstall {' '.join(DISTRIBUTIONS)}, then pip install "
                f"paddlepaddle-gpu=={PADDLE_3.tried} -i {PADDLES_INDEX}/{wheel}/"
            )


def wheel_for(card: Card) -> str | None:
    """The build of PaddlePaddle 3 for a card, a key of ``WHEELS``; ``None`` where its driver is too old for any."""
    first = FIRST_WHEEL.get(card.capability[0] if card.capability else 0, "cu129")
    return first if card.cuda >= WHEELS[first] else None


def problems(python: Version = sys.version_info[:2]) -> Iterator[str]:
    """Why the library cannot run here at all, and what to do; nothing where it can."""
    both = [name for name in DISTRIBUTIONS if version_of(name)]
    if len(both) > 1:
        yield (
            f"{' and '.join(both)} lie over each other, and which one is imported is chance. Run: pip uninstall "
            f"{' '.join(both)}, and install one of them again."
        )
    if not (3, 11) <= python < PADDLE_3.python_until:
        last = f"{PADDLE_3.python_until[0]}.{PADDLE_3.python_until[1] - 1}"
        yield f"Python {dotted(python)} is not supported: 3.11 to {last} is. Make an environment with one of them."
    try:
        line = require_line()
        require_companions(line)
    except UserError as error:
        yield str(error)
        if version_of("paddlepaddle") is None and PADDLE_2.python_until <= python < PADDLE_3.python_until:
            yield f'For Python {dotted(python)} that is: pip install "imgcls[{PADDLE_3.extra}]"'


def extras() -> dict[str, list[str]]:
    """The distributions that are missing of each extra, none where it is whole; nothing where nobody installed it."""
    found: dict[str, list[str]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for match in filter(None, map(REQUIREMENT.match, metadata.requires("imgcls") or ())):
            if match["extra"] not in OF_EVERYBODY:
                missing = [] if version_of(match["name"]) else [match["name"]]
                found[match["extra"]] = found.get(match["extra"], []) + missing
    return found


def report() -> tuple[list[str], list[str], bool]:
    """Lines on what there is, lines on what to do, and whether the library can run at all."""
    python = sys.version_info[:2]
    build, present, wrong = installed_build(), cards(), list(problems(python))
    lines = [f"Python     {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines.append(f"Paddle     {build or 'is not installed'}")
    beside = ((name, version_of(name)) for name in ("numpy", "protobuf"))
    lines.append(f"beside it  {', '.join(f'{name} {version}' for name, version in beside if version)}")
    for number, card in enumerate(present):
        against = build.fits(card) if build and not wrong else "there is no PaddlePaddle that runs"
        if against is None:
            failed = try_card(number)
            against = failed and f"PaddlePaddle could not compute on it: {failed}"
        lines.append(f"card {number}     {card}")
        lines.append(f"           {'cannot be used: ' + against if against else 'can be used: it has just computed'}")
    if not present:
        lines.append("card       none that nvidia-smi knows: everything runs on the CPU")
    for extra, missing in sorted(extras().items()):
        lines.append(f"extra      {extra}: {'missing ' + ', '.join(missing) if missing else 'is there'}")
    return lines, [*wrong, *advice_on_cards(build, present, python)], not wrong


def dotted(version: Version) -> str:
    """``(12, 6)`` as ``12.6``."""
    return ".".join(map(str, version)) or "unknown"


def _capability(architecture: int) -> str:
    return f"{architecture // 10}.{architecture % 10}"


def _runs_on(built: int, capability: Version) -> bool:
    """Kernels run on cards of the same first number that are not older."""
    return built // 10 == capability[0] and built % 10 <= (capability[1] if len(capability) > 1 else 0)


def _ask(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS, check=True
    ).stdout
