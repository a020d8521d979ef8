"""What every test may use: the reference numbers, programs run as a user runs them."""

import gc
import importlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

if "--full" in sys.argv:  # Paddle's own allocator keeps what the largest networks took, 20 GB and more
    os.environ.setdefault("FLAGS_use_system_allocator", "1")

if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are shared out among the workers, one thread each
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads"), "1")

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, here and by what is started here

import imgcls  # noqa: E402, F401  sets the CPU up before any test imports Paddle

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "reference")]  # for `locations` and `weights`

from chromium import NEEDED  # noqa: E402
from locations import ROOT  # noqa: E402
from warm_start import programs  # noqa: E402

LARGE = ("tests/models/", "tests/deploy/test_matrix.py")
LAST = "tests/functional/"
"""Files that take a second or two each: after the others, so that all workers end at the same time."""


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the whole matrix over all models (hours of CPU)")


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.nodeid.startswith(LAST))
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="part of the whole matrix: run with --full")
    for item in items:
        if item.get_closest_marker("full"):  # keywords have the names of directories, too
            item.add_marker(skip)


def pytest_collection_finish():
    """All that is loaded by now stays: no collection of garbage looks through it again.

    Nor does one come every few hundred objects: that took a thirtieth of the time of what runs in this process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 2)


@pytest.fixture(autouse=True)
def heard():
    """A test hears the library's log, whatever set-up of logging a test before it made in this process."""
    log = logging.getLogger("imgcls")
    logging.disable(logging.NOTSET)
    log.disabled = False
    handlers, filters, level, propagate = list(log.handlers), list(log.filters), log.level, log.propagate
    log.propagate = True  # before the test itself begins: pytest listens in another place to those that do not
    yield
    log.handlers[:], log.filters[:], log.level, log.propagate = handlers, filters, level, propagate


@pytest.fixture(autouse=True)
def known_networks():
    """Networks that a test registers are not known to the next."""
    from imgcls.models import registry

    before = dict(registry._own)
    yield
    registry._own.clear()
    registry._own.update(before)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file to a worker; with ``--full``, one worker for the files in which the largest networks fill the memory."""
    from xdist.scheduler import LoadFileScheduling

    class LargeNetworksTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return LARGE[0] if config.getoption("--full") and nodeid.startswith(LARGE) else super()._split_scope(nodeid)

    return LargeNetworksTogether(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Whole pages that nobody looked at are no detail among the skipped: the last but one line says so."""
    yield
    reasons = [report.longrepr[2] for report in terminalreporter.getreports("skipped")]
    if unseen := sum(NEEDED in reason for reason in reasons):
        terminalreporter.write_sep("!", f"{unseen} tests of pages were skipped: {NEEDED}", red=True, bold=True)


def pytest_sessionfinish():
    programs.close()


@pytest.fixture(scope="session")
def run_program():
    """Run ``python -m imgcls.<program>`` in its own process and return what it printed and its status.

    Paddle is there already, see ``warm_start``, unless the process is to have other ``variables`` than this one.
    """

    def run(program: str, *arguments: str, cwd: Path, check: bool = True, timeout: float = 300, **variables: str):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        module, words = f"imgcls.{program}", list(map(str, arguments))
        if programs.fits(environment):
            process = programs.start(module, *words, cwd=cwd, environment=environment)
            try:
                output, errors = process.communicate(timeout)
            finally:
                process.kill()
            result = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
        else:
            command = [sys.executable, "-m", module, *words]
            result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)
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


@pytest.fixture
def ask(monkeypatch, capsys):
    """Ask ``imgcls.<program>`` in this process, for a configuration that it refuses before it loads Paddle.

    It is the program's own entry that answers, from the command's words to the exit status; each answer takes as
    long as composing does. That a process of its own says the same, ``commands/test_mistakes.py`` compares.
    """

    def ask(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
        main = importlib.import_module(f"imgcls.{program}").main
        state = Singleton.get_state()
        with monkeypatch.context() as changed:
            changed.chdir(cwd)
            changed.setenv("HYDRA_FULL_ERROR", "1")  # which the entry sets for its process
            changed.setattr(sys, "argv", [f"imgcls.{program}", *map(str, arguments)])
            capsys.readouterr()
            try:
                with pytest.raises(SystemExit) as end:
                    main()
            finally:
                GlobalHydra.instance().clear()
                Singleton.set_state(state)
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess([program, *arguments], end.value.code, output, errors)

    return ask
