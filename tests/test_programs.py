"""``python -m imgcls``: which programs there are."""

import subprocess
import sys

from locations import ROOT

from imgcls.app.keys import SCHEMAS


def asked(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "imgcls", *words], capture_output=True, text=True, cwd=ROOT)


def test_every_program_is_named_with_what_it_is_for():
    answer = asked()
    assert answer.returncode == 0
    *lines, _ = answer.stdout.splitlines()
    named = {line.split()[2].removeprefix("imgcls."): " ".join(line.split()[3:]) for line in lines}
    assert {*SCHEMAS, "models"} <= set(named)
    assert all(named.values())


def test_a_blank_in_place_of_the_dot_is_answered_with_the_command():
    answer = asked("train", "model=resnet18")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "error: imgcls alone does nothing. Write python -m imgcls.train model=resnet18\n"
    assert "Did you mean 'verify'? There are: " in asked("verfy").stderr
