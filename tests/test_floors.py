"""Imports run down the floors of the library and never in a circle: the contracts at the end of setup.cfg."""

import logging
import shutil
import sys

import pytest
from importlinter.cli import lint_imports
from locations import ROOT

UP = {
    "to the next floor": (
        "functional/losses.py",
        "import imgcls.run.directory",
        "imgcls.functional.losses -> imgcls.run",
    ),
    "in a function": (
        "weights/report.py",
        "def report():\n    from imgcls.callbacks import ema",
        "imgcls.weights.report -> imgcls.callbacks.ema",
    ),
    "through others": ("machine/device.py", "import imgcls.models.patterns", "imgcls.machine.device -> imgcls.models"),
    "within data": (
        "data/pictures/decode.py",
        "from imgcls.data.formats import tar_index",
        "imgcls.data.pictures.decode -> imgcls.data.formats.tar_index",
    ),
    "from door to door": ("eval.py", "from imgcls.train import main", "imgcls.eval -> imgcls.train"),
    "in a circle": ("deploy/results.py", "import imgcls.benchmarks.exported", "- .deploy -> .benchmarks"),
    "a loose module": ("tools.py", "", "tools"),
}


@pytest.fixture(autouse=True)
def loggers_as_they_were(monkeypatch):
    """The linter's own set-up of logging silences every logger that is there already."""
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "disabled", logger.disabled)


def lint() -> int:
    return lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True, no_logo=True)


def test_the_floors_hold(capsys):
    assert lint() == 0, capsys.readouterr().out


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The package's sources in another place, which is where it is looked for."""
    shutil.copytree(ROOT / "imgcls", tmp_path / "imgcls", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    monkeypatch.delitem(sys.modules, "imgcls", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "imgcls"


@pytest.mark.parametrize("case", UP)
def test_a_new_import_upwards_is_found(case, copy, capsys):
    file, line, found = UP[case]
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    assert lint() == 1
    assert found in capsys.readouterr().out


def test_names_for_type_checkers_may_come_from_above(copy, capsys):
    with (copy / "functional" / "losses.py").open("a") as source:
        source.write(
            "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from imgcls.engine.trainer import Trainer\n"
        )
    assert lint() == 0, capsys.readouterr().out
