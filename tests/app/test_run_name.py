"""What a run may be called."""

import pytest
from omegaconf import OmegaConf

from imgcls.app.run_name import require_run_name
from imgcls.errors import UserError

REFUSED = {
    "": "is empty",
    "  ": "is empty",
    ".": "leads out of run.root=outputs",
    "..": "leads out of run.root=outputs",
    "../x": "leads out of",
    "a/../..": "leads out of",
    "a/..": "leads out of",
    "/tmp/x": "Write run.root=/tmp run.name=x",
    "a\0b": "no directory can be called so",
    "宠" * 86: "258 bytes in UTF-8",
    "a/" + "b" * 256: "256 bytes",
}
FINE = ("宠" * 85, "a/b", "a/../b", "~/x", "-x", "con", "null", "a\nb", "...", "..x", " x ", "50% #1", "b" * 255)


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_lead_out_of_the_root_or_that_no_system_takes(name):
    with pytest.raises(UserError, match=r"^run\.name") as caught:
        require_run_name(OmegaConf.create({"run": {"root": "outputs", "name": name}}))
    assert REFUSED[name] in str(caught.value)
    assert len(str(caught.value)) < 300


def test_all_others_pass():
    for name in FINE:
        require_run_name(OmegaConf.create({"run": {"root": "outputs", "name": name}}))


def test_the_programs_ask(ask, tmp_path):
    for program, words in (("train", ()), ("predict", ("predict.input=x.jpg",)), ("verify", ())):
        answer = ask(program, *words, "run.name=../x", cwd=tmp_path)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert answer.stderr.startswith("error: run.name=../x leads out of run.root=outputs")
    assert list(tmp_path.iterdir()) == []
