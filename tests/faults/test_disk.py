"""Saves on disks that are full, read-only or about to lose power."""

import os
import resource
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
from locations import ROOT
from tiny_run import TINY, finish, last

from imgcls.errors import UserError
from imgcls.run.checkpoint import list_checkpoints, newest_whole, verify, write_checkpoint


def limited(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_fills_up_during_a_save(start, tmp_path):
    """The run stops with a message, and what was saved before is whole: it goes on from there."""
    finish(start(*TINY, "trainer.epochs=1"))
    run = tmp_path / "outputs" / "tiny"
    saved = last(run)
    largest = max(file.stat().st_size for file in saved.iterdir())
    options = {"preexec_fn": partial(limited, largest - 1000)}
    output = finish(start(*TINY, "trainer.resume=auto", options=options), 2)
    assert "could not be written: File too large. Earlier checkpoints are intact." in output
    assert "Traceback" not in output
    assert last(run) == saved
    verify(saved)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {saved.name, "last", "best"}
    assert "after 6 updates" in finish(start(*TINY, "trainer.resume=auto"))


def test_a_directory_that_became_read_only(tmp_path):
    """Tried without root's privileges, which no permission stops."""
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from imgcls.run.checkpoint import list_checkpoints, point, remove_old, verify, write_checkpoint
        from imgcls.errors import UserError
        os.chdir(sys.argv[1])  # reached before the privileges to reach it are gone
        root = Path(".")
        writers = {"weights": lambda path: path.write_text("numbers")}
        for step in range(2):
            point(root, "last", write_checkpoint(root, 0, step, writers))
        root.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
        for action in (
            lambda: write_checkpoint(root, 0, 2, writers),
            lambda: point(root, "best", root / "epoch-0000-step-00000000"),
            lambda: remove_old(root, 1),
        ):
            try:
                action()
            except UserError as error:
                print(error)
        for path in list_checkpoints(root):
            verify(path)
            print("whole:", path.name)
        """
    )
    root = tmp_path / "checkpoints"
    root.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    root.chmod(0o755)
    lines = result.stdout.splitlines()
    assert sum("Permission denied. Earlier checkpoints are intact." in line for line in lines) == 3, result.stdout
    assert lines[-2:] == [f"whole: epoch-0000-step-{step:08d}" for step in range(2)]


def test_the_order_of_writes_survives_a_power_cut(tmp_path, monkeypatch):
    """Files reach the disk before the directory that lists them, both before the rename that publishes them, and
    that before anything points there. The real calls are made; this only takes note of them."""
    calls = []

    def noting(name, real):
        def call(*arguments):
            where = arguments[0]
            calls.append((name, os.readlink(f"/proc/self/fd/{where}") if isinstance(where, int) else str(where)))
            return real(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noting("rename", os.replace))
    root = tmp_path / "checkpoints"
    root.mkdir()
    writers = {name: lambda path: path.write_text("numbers") for name in ("network", "optimizer")}
    write_checkpoint(root, 1, 6, writers)
    partial_name = str(root / ".epoch-0001-step-00000006.partial")
    assert calls == [
        *[("fsync", f"{partial_name}/{name}") for name in ("manifest.json", "network", "optimizer")],
        ("fsync", partial_name),
        ("rename", partial_name),
        ("fsync", str(root)),
    ]


def test_what_a_cut_short_save_leaves_is_no_checkpoint(tmp_path):
    """At whatever file it was cut."""
    root = tmp_path / "checkpoints"
    good = write_checkpoint(root, 0, 1, {"weights": lambda path: path.write_text("numbers")})

    def fail(path: Path) -> None:
        path.write_text("num")
        raise KeyboardInterrupt

    for names in (("weights",), ("optimizer", "weights")):
        writers = {name: fail if name == "weights" else lambda path: path.write_text("numbers") for name in names}
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(root, 0, 2, writers)
        assert list_checkpoints(root) == [good]
        assert newest_whole(root, pytest.fail) == good
    assert verify(write_checkpoint(root, 0, 2, {"weights": lambda path: path.write_text("numbers")})) is None


def test_a_file_in_the_way_is_a_message(tmp_path):
    root = tmp_path / "checkpoints"
    root.write_text("not a directory")
    with pytest.raises(UserError, match="could not be written"):
        write_checkpoint(root, 0, 1, {"weights": lambda path: path.write_text("numbers")})
