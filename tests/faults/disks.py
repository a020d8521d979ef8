"""Small disks of their own for processes: one that fails under them, and one whose power is cut.

A disk is a file with an ext4 file system, mounted for one process and its children alone. What the file holds at a
moment is what a disk would hold whose power is cut then: all that the kernel still meant to write is missing.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from locations import ROOT

MEGABYTES = 96
NEEDED = "POWER CUTS AND FAILING DISKS ARE UNTESTED: this process may not mount a file system on a loop device"


class Disk:
    """A file system in ``file``, new unless it is there."""

    def __init__(self, file: Path):
        self.file = file
        if not file.exists():
            with file.open("wb") as image:
                image.truncate(MEGABYTES << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(file)], check=True)

    def start(self, command: list[str] | str, options: str = "commit=60") -> subprocess.Popen:
        """A process, or a shell's script, in the disk's root; the disk is there while it runs, for nobody else."""
        place = self.file.with_suffix(".mounted")
        place.mkdir(exist_ok=True)
        script = f'mount -o loop,{options} "$1" "$2" && cd "$2" && shift 2 && exec "$@"'
        words = ["sh", "-c", command] if isinstance(command, str) else command
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{place}", "PYTHON": sys.executable}
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, "sh", str(self.file), str(place), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str] | str, status: int = 0) -> str:
        process = self.start(command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == status, output
        return output

    def cut(self, process: subprocess.Popen, copy: Path) -> "Disk":
        """What the disk holds now, as another disk; the process stands still meanwhile and goes on afterwards."""
        process.send_signal(signal.SIGSTOP)
        try:
            before, now = b"", self._content(copy)
            while before != now:  # until the kernel has written nothing while it was copied
                time.sleep(0.01)
                before, now = now, self._content(copy)
        finally:
            process.send_signal(signal.SIGCONT)
        return Disk(copy)

    def _content(self, copy: Path) -> bytes:
        shutil.copyfile(self.file, copy)
        return copy.read_bytes()


@pytest.fixture
def disk(tmp_path):
    """Skips, and says so, where no disk can be had."""
    try:
        disk = Disk(tmp_path / "disk")
        disk.run(["true"])
    except (OSError, subprocess.CalledProcessError, AssertionError):
        pytest.skip(NEEDED)
    return disk
