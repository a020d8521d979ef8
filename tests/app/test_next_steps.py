"""What a training says to type next can be pasted, whatever the run is called."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from imgcls.app.next_steps import next_steps
from imgcls.data.formats.samples import Samples

NAMES = [
    "pets",
    "宠物",
    "my run (1)",
    "it's",
    'a "b"',
    "a=b,c",
    "x\\",
    "$HOME;ls",
    "[x]",
    "{a: 1}",
    "null",
    "-x",
    "a#b~1",
]


def samples(*paths: str) -> Samples:
    return Samples.of_classes(".", [[path.encode() for path in paths]], ("a",))


def keys(command: str, program: str) -> dict[str, object]:
    """What Hydra reads in a command that a shell has taken apart."""
    python, module, name, *words = shlex.split(command)
    assert python in ("python", sys.executable)
    assert (module, name) == ("-m", f"imgcls.{program}")
    overrides = OverridesParser.create().parse_overrides(words)
    return {override.key_or_group: override.value() for override in overrides}


@pytest.mark.parametrize("name", NAMES)
def test_any_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = tmp_path / name / "photo (1).jpg"
    photo.parent.mkdir()
    photo.touch()
    evaluate, predict, export = next_steps(Path(name).absolute(), ["my_networks", "code/宠物.py"], samples(str(photo)))
    imports = {"imports": ["my_networks", "code/宠物.py"]}
    assert keys(evaluate, "eval") == {**imports, "eval.source": name}
    assert keys(predict, "predict") == {**imports, "predict.source": name, "predict.input": str(photo)}
    assert keys(export, "export") == {**imports, "export.source": name, "export.dir": f"{name}-export"}


def test_a_plain_name_is_plain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    run = tmp_path / "outputs" / "pets"
    assert next_steps(run, [], samples("photo.jpg"))[0] == "python -m imgcls.eval eval.source=outputs/pets"
    assert next_steps(tmp_path.parent / "pets", [], samples())[0].endswith(f"eval.source={tmp_path.parent}/pets")


def test_no_pictures_to_name(tmp_path):
    """Of made-up data, or none for validation: there is always a photo to predict."""
    for val_samples, commands in ((samples("no file"), 3), (None, 2)):
        steps = next_steps(tmp_path / "run", [], val_samples)
        assert len(steps) == commands
        assert Path(keys(steps[-2], "predict")["predict.input"]).is_file()


def test_they_work(run_program, tmp_path):
    name = "宠物 it's (1)"
    said = run_program("train", "debug=fast", "transform.size=64", f'run.name="{name}"', cwd=tmp_path).stderr
    steps = re.findall(r"^  (\S+ -m imgcls\.(\w+) .*)$", said, re.MULTILINE)
    assert [program for _, program in steps] == ["eval", "predict", "export"]
    for command, program in steps:
        run_program(program, *shlex.split(command)[3:], cwd=tmp_path)
    assert (tmp_path / "outputs" / f"{name}-export" / "inference.yaml").is_file()
