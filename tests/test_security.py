"""SECURITY.md has the limits that the code keeps; locks and the bill of materials name the same exact versions."""

import json
import re
import runpy
import subprocess
import sys

import pytest
from locations import ROOT

from imgcls.machine import limits

ROW = re.compile(r"^\| `([A-Z_]+)` \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "bytes": 1}
LOCKED = sorted((ROOT / "scripts" / "locked").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


def number(text: str) -> int:
    digits, _, unit = text.strip().partition(" ")
    return int(digits.replace(",", "")) * UNITS.get(unit, 1)


def test_the_table_of_limits_is_the_codes():
    written = {name: number(value) for name, value in ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))}
    assert written == {name: value for name, value in vars(limits).items() if name.isupper()}


@pytest.mark.parametrize("file", LOCKED, ids=lambda file: file.stem)
def test_a_lock_names_versions_with_hashes_and_nothing_else(file):
    """No place to get them from: that is the installer's business."""
    head, made_of, *_ = text = file.read_text(encoding="utf-8").splitlines()
    pinned = PINNED.findall("\n".join(text))
    assert (head[:2], made_of[:10]) == ("# ", "# made of ")
    assert 2 * len(pinned) == len(text) - 2
    assert len({name for name, *_ in pinned}) == len(pinned)
    assert "//" not in file.read_text(encoding="utf-8")


def test_the_bill_of_materials_is_the_lock():
    bill = json.loads((ROOT / "imgcls" / "assets" / "sbom.cdx.json").read_text(encoding="utf-8"))
    (lock,) = (
        file for file in LOCKED if re.fullmatch(r"python3\.11-.*-cpu", file.stem)
    )  # of one Python, for the wheel
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    found = [(one["name"], one["version"], one["hashes"][0]["content"]) for one in bill["components"]]
    assert found == PINNED.findall(lock.read_text(encoding="utf-8"))
    references = [one["bom-ref"] for one in bill["components"]]
    assert references == [f"pkg:pypi/{name}@{version}" for name, version, _ in found]
    assert bill["dependencies"][0]["dependsOn"] == references


@pytest.fixture
def project(tmp_path):
    """The files that say what is installed, in another place."""
    (tmp_path / "scripts" / "locked").mkdir(parents=True)
    for name in ("setup.cfg", "pyproject.toml", "scripts/lock.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def asked(project, extras: str) -> tuple[int, str]:
    command = [sys.executable, str(project / "scripts" / "lock.py"), extras]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def test_a_lock_is_used_with_the_setup_that_it_was_made_of(project):
    script = runpy.run_path(str(project / "scripts" / "lock.py"))
    assert asked(project, "cpu,test") == (1, f"there is no lock of [cpu,test] for {script['this_platform']()}\n")
    lock = project / "scripts" / "locked" / script["name"]("cpu,test")
    script["write"](lock.name, "imgcls[cpu,test]", [{"name": "a", "version": "1", "sha256": "0" * 64}], "0" * 64)
    assert asked(project, "cpu,test")[0] == 1
    script["write"](lock.name, "imgcls[cpu,test]", [], script["fingerprint"]("cpu,test"))
    assert asked(project, "cpu,test") == (0, f"scripts/locked/{lock.name}\n")
    setup = (project / "setup.cfg").read_text(encoding="utf-8")
    (project / "setup.cfg").write_text(setup.replace("description =", "description = an"), encoding="utf-8")
    assert asked(project, "cpu,test")[0] == 0  # nothing else is installed for that
    (project / "setup.cfg").write_text(setup.replace("    tqdm>=", "    one-more\n    tqdm>="), encoding="utf-8")
    status, message = asked(project, "cpu,test")
    assert status == 1
    assert "was made of another setup.cfg; scripts/lock.py renews it" in message


def test_an_extra_brings_those_it_is_made_of():
    wanted = runpy.run_path(str(ROOT / "scripts" / "lock.py"))["requirements"]("cpu,test")
    names = {re.split(r"[<>=!~ \[;]", one)[0] for one in wanted}
    assert {"numpy", "paddlepaddle", "pytest", "onnx", "starlette", "tensorboardX"} <= names
    assert "imgcls" not in names
