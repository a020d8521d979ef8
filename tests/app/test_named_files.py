"""What a command names must be there; what it does not need, need not."""

import pytest

from imgcls.app.composition import composed
from imgcls.app.program import LONGEST_LINE, report
from imgcls.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "all.txt").write_text("a.jpg 0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def compose(program, *overrides):
    with composed(program, ["data=list", "data.root=.", "data.train_list=all.txt", *overrides]):
        pass


@pytest.mark.parametrize(
    ("program", "override"),
    [("train", "data.val_share=0.2"), ("train", "trainer.eval_every=0"), ("verify", "data.val_share=0.2")],
)
def test_one_list_that_is_divided_or_not_evaluated_needs_no_second(program, override):
    compose(program, override)
    with pytest.raises(UserError, match=r"data\.val_list=val_list\.txt: there is no such file"):
        compose(program)
    with pytest.raises(UserError, match=r"data\.val_list=typo\.txt: there is no such file"):
        compose(program, override, "data.val_list=typo.txt")


def test_a_message_is_no_longer_than_can_be_read(capsys):
    """A list of old Macs is a single line, and so its first path."""
    report(UserError("line 1: " + "x" * 100_000 + "\nLook there."))
    first, last = capsys.readouterr().err.splitlines()
    assert len(first) == len("error: ") + LONGEST_LINE + len("...")
    assert last == "Look there."
