"""A wheel installed elsewhere finds its configurations, photos and weights."""

import json
import os
import subprocess
import sys
import zipfile
from importlib import metadata, util

import pytest
from locations import ROOT


@pytest.mark.slow
def test_wheel(tmp_path):
    def run(*command, **options):
        return subprocess.run(command, check=True, capture_output=True, text=True, **options)

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run("git", "clone", "-q", str(ROOT), str(tmp_path / "source")) if (ROOT / ".git").exists() else None
    source = tmp_path / "source" if (ROOT / ".git").exists() else ROOT
    # the one that pyproject.toml asks for is here, if this environment is a locked one
    here = util.find_spec("setuptools") is not None and int(metadata.version("setuptools").split(".")[0]) > 78
    run(*pip, "wheel", "--no-deps", *["--no-build-isolation"] * here, "-w", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 10e6
    names = zipfile.ZipFile(wheel).namelist()
    assert "imgcls/conf/train.yaml" in names
    assert "imgcls/models/catalogue.csv" in names
    assert "imgcls/assets/sample_photos/ATTRIBUTION.csv" in names
    assert json.loads(zipfile.ZipFile(wheel).read("imgcls/assets/sbom.cdx.json"))["bomFormat"] == "CycloneDX"
    assert not [name for name in names if name.startswith(("tests", "conf/"))]

    run(*pip, "install", "--no-deps", "--no-compile", "--target", str(tmp_path / "site"), str(wheel))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    program = "import imgcls, sys; sys.stdout.write(imgcls.__file__)"
    assert run(sys.executable, "-c", program, cwd=tmp_path, env=environment).stdout.startswith(str(tmp_path))
    command = (sys.executable, "-m", "imgcls.train", "debug=fast", "transform.size=64", "run.name=elsewhere")
    run(*command, cwd=tmp_path, env=environment)
    assert (tmp_path / "outputs" / "elsewhere" / "checkpoints" / "last" / "network.pdparams").exists()
