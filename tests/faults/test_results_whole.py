"""Results are whole or absent where a file may grow no further, as on a full disk, and the message names the file."""

import resource
import signal
import subprocess
import sys

import pytest
from locations import ROOT

WRITERS = {
    "summary.json": "from imgcls.machine.text import write_json; write_json(path, ['x' * 9999])",
    "curves.png": (
        "from imgcls.callbacks.history import draw_curves; "
        "draw_curves([{'epoch': 1, 'lr': 0.1, 'train_loss': 1}], path)"
    ),
    "report.csv": (
        "from imgcls.verify import _write_report; from imgcls.data.checking.verification import Problem; "
        "_write_report(path.parent, [Problem('twice', 'train', 'x' * 99, 1, 'y')] * 99, {})"
    ),
    "per_class.csv": "from imgcls.report.tables import _write_csv; _write_csv(path, ['a'], [['b' * 99]] * 99)",
    "leaderboard.csv": "from imgcls.app.sweep import _write; _write(path, [{'job': 'x' * 99}] * 99)",
}


@pytest.mark.parametrize("name", WRITERS)
def test_half_a_file_is_none(name, tmp_path):
    def on_a_full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    code = f"import pathlib, sys; path = pathlib.Path(sys.argv[1]); {WRITERS[name]}"
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "run" / name)]
    (tmp_path / "run").mkdir()
    done = subprocess.run(command, preexec_fn=on_a_full_disk, cwd=ROOT, capture_output=True, text=True)
    assert f"File too large: '{tmp_path / 'run' / name}'" in done.stderr
    assert list((tmp_path / "run").iterdir()) == []
