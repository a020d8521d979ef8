"""docs/extending.md: its files, from outside the package, and its commands, as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from locations import ROOT

from imgcls.data.formats.build import SAMPLE_PHOTOS

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = {name: code for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)}
COMMANDS = [
    line.removeprefix("python -m imgcls.")
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
QUICK = ("transform.size=32", "trainer.num_workers=0", "trainer.epochs=2", "trainer.batch_size=48", "optimizer.lr=1e-4")


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Where somebody works who has copied the files of the page, with a photo."""
    root = tmp_path_factory.mktemp("own")
    for name, code in FILES.items():
        (root / name).write_text(code, encoding="utf-8")
    (root / "photo.jpg").write_bytes(next(SAMPLE_PHOTOS.glob("val/*/*.jpg")).read_bytes())
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page(command, directory, run_program):
    program, *arguments = shlex.split(command)
    quick = [one for one in QUICK if one.partition("=")[0] not in command] if program == "train" else []
    printed = run_program(program, *arguments, *quick, cwd=directory)
    assert "Traceback" not in printed.stderr


def test_the_files_did_what_they_are_for(directory):
    """After the commands: what each of the runs left behind."""
    classes = (directory / "outputs" / "colours" / "checkpoints" / "last" / "classes.txt").read_text()
    assert classes.split() == ["red", "green", "blue"]
    config = (directory / "outputs" / "focal" / "config.yaml").read_text()
    assert "_target_: my_losses.focal" in config
    assert "gamma: 1.5" in config
    state = (directory / "outputs" / "early" / "checkpoints" / "last" / "state.json").read_text()
    assert '"best_epoch"' in state
    rates = [line.split(",")[2] for line in (directory / "outputs" / "waves" / "metrics.csv").read_text().split()[1:]]
    assert len(set(rates)) == 2


MISTAKES = {
    "train imports=no_such_module": "imports=[no_such_module]: there is no module no_such_module",
    "train imports=no/such.py": "imports=[no/such.py]: there is no such file",
    "train loss._target_=my_losses.fokal": "loss._target_=my_losses.fokal: there is no class or function fokal",
    "train loss._target_=focal": "loss._target_=focal: give module and name, such as my_module.focal",
    "train loss=own": "loss._target_ is required",
    "train data._target_=my_data.Colours data.args.colour=1": "data._target_: Colours cannot be called with",
    "train data._target_=my_data.COLOURS": "there is no class or function COLOURS in my_data",
    "train optimizer._target_=my_losses.focal": "optimizer._target_: focal cannot be called with",
    "train loss._target_=my_losses.focal callbacks.label_smoothing.enabled=true": "is for loss=cross_entropy",
    "train transform.extra=[{bits: 3}]": "transform.extra: an entry names what is yours",
    "train model=tinynet": "There is no model 'tinynet'",
    "eval eval.source=outputs/tiny": "used modules of its owner's: my_networks. Nothing is imported",
    "eval eval.source=outputs/colours": "used modules of its owner's: my_data. Nothing is imported",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_messages(command, directory, run_program):
    program, *arguments = shlex.split(command.replace("[{bits: 3}]", "'[{bits: 3}]'"))
    result = run_program(program, *arguments, "run.name=mistake", cwd=directory, check=False)
    assert result.returncode == 2, result.stderr
    assert MISTAKES[command] in result.stderr
    assert "Traceback" not in result.stderr
    assert not (directory / "outputs" / "mistake").exists()
