"""The power is cut while a run saves, shards are made and predictions are written: all that was said to be there is."""

import random
import signal
import sys
import time
from pathlib import Path

import pytest
from disks import disk  # noqa: F401 (a fixture)
from tiny_run import TINY

WRITER = """
import itertools, os, shutil, sys, time
from pathlib import Path
import numpy as np
from imgcls.data.formats.build import build_samples
from imgcls.deploy.feature_file import FeatureFile
from imgcls.deploy.line_file import LineFile
from imgcls.run.checkpoint import point, remove_old, write_checkpoint
sys.path.insert(0, sys.argv[2])
from make_shards import write_shards

told = open(sys.argv[1], "a", buffering=1)
samples = build_samples("folder", root="photos", split="train")
lines, features = LineFile(Path("predictions.jsonl")), FeatureFile(Path("."))
root = Path("checkpoints")
for step in itertools.count(1):
    write = lambda path: path.write_bytes(os.urandom(50_000))
    path = write_checkpoint(root, step // 4, step, dict.fromkeys(("network.pdparams", "optimizer.pdopt"), write))
    point(root, "last", path)
    told.write(f"checkpoint {step}\\n")
    remove_old(root, 2)
    for number in range(5 * step, 5 * step + 5):
        lines.write({"path": str(number), "pad": "x" * 300})
        features.add([str(number)], np.full((1, 64), number))
    if step % 4 == 0:
        write_shards(samples, Path(f"shards-{step}"), 0.05, listed=False)
        told.write(f"shards {step}\\n")
        shutil.rmtree(f"shards-{step - 8}", ignore_errors=True)
    time.sleep(0.01)  # the disk is small
"""
READER = """
import sys
from pathlib import Path
import numpy as np
from imgcls.data.formats.tar_index import read_index
from imgcls.deploy.feature_file import FeatureFile
from imgcls.deploy.line_file import LineFile
from imgcls.run.checkpoint import list_checkpoints, progress_of, remove_remains, verify

checkpoint, shards = map(int, sys.argv[1:])
root = Path("checkpoints")
remove_remains(root)
found = list_checkpoints(root)
for path in found:
    verify(path)
if checkpoint:
    assert progress_of((root / "last").resolve())[1] >= checkpoint, (found, checkpoint)
    verify((root / "last").resolve())
for step in range(max(4, shards - 4), shards + 1, 4):
    assert len(read_index(f"shards-{step}").offsets) == 6, step
records = [record["path"] for record in LineFile(Path("predictions.jsonl"), resume=True)]
assert records == [str(5 + number) for number in range(len(records))]
features = FeatureFile(Path("."), resume=True)
paths = list(features.paths())
assert paths == [str(5 + number) for number in range(len(paths))]
features.close()
if paths:
    with np.load("features.npz") as content:
        assert (content["features"] == np.array([float(path) for path in paths])[:, None]).all()
print("whole", len(found), len(records), len(paths))
"""
SCRIPTS = Path(__file__).parents[2] / "scripts"


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def claimed(told: list[str], kind: str) -> int:
    return max((int(line.split()[1]) for line in told if line.startswith(kind)), default=0)


@pytest.mark.parametrize("cuts", [4, pytest.param(60, marks=pytest.mark.full)])
def test_what_was_written_is_there(disk, tmp_path, cuts):  # noqa: F811
    """At whatever moment; what was said to be written, before the cut, is there and whole."""
    rng = random.Random(cuts)
    told = tmp_path / "told"
    (tmp_path / "write.py").write_text(WRITER)
    (tmp_path / "read.py").write_text(READER)
    make = "mkdir -p photos/train/$c; head -c 30000 /dev/urandom > photos/train/$c/$i.jpg"
    photos = f"for i in 1 2 3; do for c in a b; do {make}; done; done; sync"
    disk.run(photos)
    process = disk.start([sys.executable, str(tmp_path / "write.py"), str(told), str(SCRIPTS)])
    try:
        for number in range(cuts):
            steps = claimed(lines(told), "checkpoint") + rng.randrange(1, 7)
            while claimed(lines(told), "checkpoint") < steps:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            before = lines(told)
            cut = disk.cut(process, tmp_path / "cut")
            arguments = [str(claimed(before, kind)) for kind in ("checkpoint", "shards")]
            assert "whole" in cut.run([sys.executable, str(tmp_path / "read.py"), *arguments]), number
            cut.file.unlink()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.mark.full
def test_a_run_and_an_export_go_on_after_a_power_cut(disk, tmp_path):  # noqa: F811
    """Forty cuts while a run saves after each update and is exported again and again; every tenth is resumed from."""
    rng = random.Random(7)
    words = " ".join(f"'{word}'" for word in (*TINY, "trainer.epochs=4", "trainer.save_every_steps=1"))
    train = f"$PYTHON -m imgcls.train {words} trainer.resume=auto"
    export = "$PYTHON -m imgcls.export export.source=outputs/tiny export.dir=served"
    check = (
        f"{sys.executable} -c 'import sys; from pathlib import Path; from imgcls.deploy.contract import read_contract; "
        'p = Path("served"); print("whole" if not p.exists() or read_contract(p) else "")\''
    )
    verify = (
        f"{sys.executable} -c 'from pathlib import Path; from imgcls.run.checkpoint import *; "
        'print("whole", [verify(p) for p in list_checkpoints(Path("outputs/tiny/checkpoints"))])\''
    )
    disk.run(f"{train} trainer.epochs=1 && sync")
    process = disk.start(f"while true; do {train}; {export}; rm -rf outputs/tiny/checkpoints; done")
    try:
        for number in range(40):
            time.sleep(rng.uniform(0.2, 3))
            assert process.poll() is None
            cut = disk.cut(process, tmp_path / "cut")
            assert "whole" in cut.run(check)
            assert "whole" in cut.run(verify)
            if number % 10 == 9:
                assert "epoch 4/4" in cut.run(train) or "nothing" in cut.run(train)
            cut.file.unlink()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


CHANGE = """
import subprocess
import imgcls

class Change(imgcls.Callback):
    def on_train_batch_end(self, step, logs=None):
        if self.trainer.progress.step == 3:
            subprocess.run({command!r}, shell=True, check=True)
"""
FAILING = {
    "read-only": ('mount -o remount,abort "$PWD"', "Read-only file system"),
    "full": ("dd if=/dev/zero of=full bs=1M status=none; true", "No space left on device"),
}


@pytest.mark.parametrize("how", ["read-only", pytest.param("full", marks=pytest.mark.full)])
def test_a_disk_that_fails_in_mid_run(disk, how):  # noqa: F811
    """The run ends with a message that says why, and no traceback."""
    command, reason = FAILING[how]
    words = " ".join(f"'{word}'" for word in (*TINY, "callbacks.extra=[{_target_: change.Change}]"))
    script = f"cat > change.py <<'END'\n{CHANGE.format(command=command)}\nEND\n$PYTHON -m imgcls.train {words}"
    output = disk.run(script, status=2)
    assert reason in output
    assert "Traceback" not in output
    assert "Logging error" not in output
