"""What every test may use: the reference numbers, programs run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

if "--full" in sys.argv:  # Paddle's own allocator keeps what the largest networks took, 20 GB and more
    os.environ.setdefault("FLAGS_use_system_allocator", "1")

import imgcls  # noqa: F401  sets the CPU up before any test imports Paddle

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "reference")]  # for `locations` and `weights`

from locations import ROOT  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the whole matrix over all models (hours of CPU)")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="part of the whole matrix: run with --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def run_program():
    """Run ``python -m imgcls.<program>`` in its own process and return what it printed and its status."""

    def run(program: str, *arguments: str, cwd: Path, check: bool = True, timeout: float = 300, **variables: str):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        result = subprocess.run(
            [sys.executable, "-m", f"imgcls.{program}", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def scaling_here(monkeypatch):
    """Loss scalers work here: Paddle's switch themselves off where the default device is no GPU."""
    import paddle
    from paddle.amp import grad_scaler

    place = SimpleNamespace(is_gpu_place=lambda: True)
    monkeypatch.setattr(grad_scaler, "_dygraph_tracer", lambda: SimpleNamespace(_expected_place=place))
    with paddle.amp.auto_cast(enable=False, dtype="float16"):
        pass  # notes the type down, which the scaler asks for
