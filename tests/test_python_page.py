"""docs/python.md, run from top to bottom as a reader would, in a directory with photos."""

import os
import re
import shutil
import subprocess
import sys

from locations import ROOT

from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.machine.cpu import THREAD_VARIABLES

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_page(tmp_path):
    for split, count in (("train", 8), ("val", 3)):
        for name, folder in (("cat", "land_animal"), ("fish", "fish")):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number, photo in enumerate(sorted((SAMPLE_PHOTOS / split / folder).glob("*.jpg"))[:count], start=1):
                shutil.copy(photo, tmp_path / "photos" / split / name / f"{number}.jpg")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks[0].strip().splitlines()) <= 15
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    environment = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "[2, 10]" in result.stdout
    assert "[2, 512, 7, 7]" in result.stdout
    assert "(6, 512)" in result.stdout
    assert "epoch 2/2" in result.stderr
