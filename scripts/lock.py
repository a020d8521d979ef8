"""Exact versions of all that the two commands of the README install, with hashes; and a bill of them for the wheel.

    python3.11 scripts/lock.py          renew what scripts/locked/ has for this Python, from the package index; with
                                        3.11, imgcls/assets/sbom.cdx.json too
    python scripts/lock.py cpu,test     the lock for these extras and this Python, if it is of this setup.cfg; else
                                        why there is none, with status 1

A lock is for one version of Python on Linux x86_64. It says what it was made of: where ``setup.cfg`` asks for
something else by now, it is no longer used (scripts/environment.sh). Needs the standard library alone.
"""

import configparser
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKED = ROOT / "scripts" / "locked"
SBOM = ROOT / "imgcls" / "assets" / "sbom.cdx.json"
EXTRAS = (("cpu,test", "cpu"), ("cpu3,test3", "cpu3"))
"""Those of each PaddlePaddle, the largest first: the others take its versions."""

HAS_PADDLE_2 = sys.version_info < (3, 13)
IS_OF_THE_WHEEL = sys.version_info[:2] == (3, 11)

BUILD = "build"
MADE_OF = "# made of "
HASHED = re.compile(r"(\S+)==(\S+) \\")


def main() -> int:
    if len(sys.argv) > 1:
        return show(sys.argv[1])
    renew()
    return 0


def show(extras: str) -> int:
    file = LOCKED / name(extras)
    if not file.exists():
        print(f"there is no lock of [{extras}] for {this_platform()}")
        return 1
    if made_of(file) != fingerprint(extras):
        print(f"{file.relative_to(ROOT)} was made of another setup.cfg; scripts/lock.py renews it")
        return 1
    print(file.relative_to(ROOT))
    return 0


def renew() -> None:
    """Resolve anew what the index has now, in an environment without any settings of this machine's."""
    LOCKED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        constraints = Path(scratch) / "constraints.txt"
        constraints.write_text("", encoding="utf-8")
        build = resolve(scratch, build_requirements(), constraints)
        write(name(BUILD), "[build-system]", build, fingerprint(BUILD))
        for group in EXTRAS if HAS_PADDLE_2 else EXTRAS[1:]:
            constraints.write_text("", encoding="utf-8")
            for extras in group:
                found = resolve(scratch, requirements(extras), constraints)
                write(name(extras), f"imgcls[{extras}]", found, fingerprint(extras))
                constraints.write_text("".join(f"{one['name']}=={one['version']}\n" for one in found), encoding="utf-8")
            if IS_OF_THE_WHEEL and "cpu" in group:
                SBOM.write_text(json.dumps(bill(found), indent=1) + "\n", encoding="utf-8")


def name(extras: str) -> str:
    return f"{this_platform()}-{extras.replace(',', '-')}.txt"


def this_platform() -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}-{platform.system().lower()}-{platform.machine()}"


def build_requirements() -> list[str]:
    """What the package is built with; ``setuptools`` alone, which builds wheels itself."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]


def requirements(extras: str) -> list[str]:
    """Of ``setup.cfg``, with the extras that others are made of."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    found = lines(config["options"]["install_requires"])
    open_extras, seen = extras.split(","), set()
    while open_extras:
        extra = open_extras.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in lines(config["options.extras_require"][extra]):
            own = re.fullmatch(r"imgcls\[(.+)\]", line)
            open_extras += own[1].split(",") if own else []
            found += [] if own else [line]
    return sorted(set(found))


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def fingerprint(extras: str) -> str:
    """Of everything that is asked for by name."""
    asked = build_requirements() + ([] if extras == BUILD else requirements(extras))
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()


def made_of(file: Path) -> str:
    found = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(MADE_OF)]
    return found[0].removeprefix(MADE_OF) if found else ""


def resolve(environment: str, wanted: list[str], constraints: Path) -> list[dict]:
    """What pip would install into an empty environment: names, versions, hashes, licences, in order of the names."""
    report = Path(environment) / "report.json"
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    pip = [f"{environment}/bin/python", "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command = [*pip, "--report", str(report), "--constraint", str(constraints), *wanted]
    subprocess.run(command, check=True, env=variables | {"PIP_CONFIG_FILE": os.devnull})
    chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = [
        {
            "name": re.sub(r"[-_.]+", "-", one["metadata"]["name"]).lower(),
            "version": one["metadata"]["version"],
            "sha256": one["download_info"]["archive_info"]["hashes"]["sha256"],
            "license": one["metadata"].get("license_expression") or one["metadata"].get("license", ""),
        }
        for one in chosen
    ]
    return sorted(found, key=lambda one: one["name"])


def write(file: str, what: str, found: list[dict], of: str) -> None:
    head = f"# {what} for {file.partition('-')[0]} on Linux x86_64; scripts/lock.py writes this.\n{MADE_OF}{of}\n"
    body = "".join(f"{one['name']}=={one['version']} \\\n    --hash=sha256:{one['sha256']}\n" for one in found)
    (LOCKED / file).write_text(head + body, encoding="utf-8")


def bill(found: list[dict]) -> dict:
    """A software bill of materials in the form of CycloneDX 1.5."""
    version = re.search(r'__version__ = "(.+?)"', (ROOT / "imgcls" / "__init__.py").read_text(encoding="utf-8"))[1]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "library", "bom-ref": "imgcls", "name": "imgcls", "version": version}},
        "components": [component(one) for one in found],
        "dependencies": [{"ref": "imgcls", "dependsOn": [reference(one) for one in found]}],
    }


def component(one: dict) -> dict:
    licence = one["license"].splitlines()[0][:100] if one["license"].strip() else ""
    return {
        "type": "library",
        "bom-ref": reference(one),
        "name": one["name"],
        "version": one["version"],
        "purl": reference(one),
        "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
    }


def reference(one: dict) -> str:
    return f"pkg:pypi/{one['name']}@{one['version']}"


if __name__ == "__main__":
    sys.exit(main())
