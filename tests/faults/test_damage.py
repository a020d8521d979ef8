"""Damaged, foreign and hostile files where a checkpoint or weights should be."""

import json
import pickle
import shutil

import pytest
from tiny_run import TINY, finish, last, starter

from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.run.checkpoint import FORMAT, MANIFEST, list_checkpoints, newest_whole, verify

SAVED = (*TINY, "trainer.epochs=1", "trainer.save_every_steps=3", "callbacks.ema.enabled=true")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The ``checkpoints`` directory of a run: one within the epoch, one at its end."""
    directory = tmp_path_factory.mktemp("whole")
    with starter(directory) as start:
        finish(start(*SAVED))
    return directory / "outputs" / "tiny" / "checkpoints"


@pytest.fixture
def checkpoints(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "outputs" / "tiny" / "checkpoints", symlinks=True)
    return tmp_path / "outputs" / "tiny" / "checkpoints"


def test_every_file_is_watched(whole):
    """Each file of a checkpoint is in its manifest."""
    within, at_the_end = list_checkpoints(whole)
    for path in (within, at_the_end):
        recorded = json.loads((path / MANIFEST).read_text())["sha256"]
        assert {file.name for file in path.iterdir()} == {*recorded, MANIFEST}
        assert {"network.pdparams", "optimizer.pdopt", "ema.pdparams", "state.json", "config.yaml"} <= recorded.keys()


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage", [flip_a_byte, truncate, lambda path: path.unlink(), lambda path: path.write_bytes(b"")]
)
def test_damage_to_any_file_is_found_and_the_checkpoint_before_is_used(checkpoints, damage):
    before, newest = list_checkpoints(checkpoints)
    for name in sorted(file.name for file in newest.iterdir()):
        kept = (newest / name).read_bytes()
        damage(newest / name)
        messages = []
        assert newest_whole(checkpoints, messages.append) == before, name
        assert len(messages) == 1
        assert name in messages[0] or name == MANIFEST  # which may then accuse another file
        assert "Trying the checkpoint before it." in messages[0]
        (newest / name).write_bytes(kept)
        assert newest_whole(checkpoints, messages.append) == newest


def test_a_run_goes_on_from_the_checkpoint_before_and_says_so(start, checkpoints):
    before, newest = list_checkpoints(checkpoints)
    flip_a_byte(newest / "network.pdparams")
    output = finish(start(*SAVED, "trainer.resume=auto"))
    assert f"{newest / 'network.pdparams'} is damaged" in output
    assert f"continuing from {before}, after 3 updates" in output
    verify(newest)  # written anew


def test_a_run_whose_checkpoints_are_all_damaged_is_not_restarted_silently(start, checkpoints):
    for path in list_checkpoints(checkpoints):
        truncate(path / "optimizer.pdopt")
    output = finish(start(*SAVED, "trainer.resume=auto"), 2)
    assert "No checkpoint in" in output
    assert "optimizer.pdopt is damaged" in output


def test_another_format_is_refused_by_name(start, checkpoints):
    for path in list_checkpoints(checkpoints):
        manifest = json.loads((path / MANIFEST).read_text())
        (path / MANIFEST).write_text(json.dumps({**manifest, "format": FORMAT - 1}))
    message = f"has checkpoint format {FORMAT - 1}; this version of imgcls reads format {FORMAT}."
    assert message in finish(start(*SAVED, "trainer.resume=auto"), 2)
    assert message in finish(start(*SAVED, f"trainer.resume={last(checkpoints.parent)}", "run.name=other"), 2)


class Bomb:
    """Pickled, it asks the reader to write a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("name", ["network.pdparams", "optimizer.pdopt", "ema.pdparams"])
def test_a_pickle_bomb_inside_a_checkpoint_is_refused(start, checkpoints, tmp_path, name):
    """Its manifest is in order, as whoever plants one would see to."""
    path = last(checkpoints.parent)
    (path / name).write_bytes(pickle.dumps({"weight": Bomb(tmp_path / "executed")}, protocol=4))
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["sha256"][name] = sha256(path / name)
    (path / MANIFEST).write_text(json.dumps(manifest))
    output = finish(start(*SAVED, "trainer.epochs=2", "trainer.resume=auto"), 2)
    assert f"{path / name} is refused" in output
    assert not (tmp_path / "executed").exists()


def test_a_pickle_bomb_as_weights_is_refused(start, tmp_path):
    (tmp_path / "weights.pdparams").write_bytes(pickle.dumps({"weight": Bomb(tmp_path / "executed")}, protocol=4))
    output = finish(start(*TINY, "model.pretrained=weights.pdparams"), 2)
    assert "weights.pdparams is refused" in output
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_that_is_none_is_refused(start, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "manifest.json is missing or unreadable" in finish(start(*TINY, "trainer.resume=empty"), 2)
    with pytest.raises(UserError, match="no whole checkpoint"):
        verify(tmp_path / "empty")
