"""The test images of Pillow itself, a thousand odd, broken and hostile files: decoded, or refused by name."""

import multiprocessing
import resource
import subprocess
import sys
import tarfile
import time
from importlib.metadata import version

import numpy as np
import pytest
from values_of_conf import train_transform

from imgcls.data.pictures.decode import decode_image, open_image
from imgcls.errors import UserError

SECONDS = 20
MEGABYTES = 600

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of the source distribution of the Pillow that is installed, or of the newest there is."""
    directory = tmp_path_factory.mktemp("pillow")
    for wanted in (f"pillow=={version('pillow')}", "pillow"):
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(directory)]
        command = [sys.executable, "-m", "pip", "download", *options, wanted]
        if subprocess.run(command, capture_output=True, timeout=600).returncode == 0:
            break
    else:
        pytest.skip("Pillow's source distribution cannot be downloaded")
    with tarfile.open(next(directory.glob("*.tar.gz"))) as archive:
        archive.extractall(directory, filter="data")
    found = [path for path in directory.glob("*/Tests/images/**/*") if path.is_file()]
    assert len(found) > 500
    return found


def examine(paths, findings):
    """Runs in a process of its own: a crash ends it, and not the test."""
    for path in paths:
        findings.put((path, "begun", 0.0, 0))
        started = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = "decoded"
        try:
            image = decode_image(path)
            assert image.mode == "RGB"
            assert len(image.tobytes()) == image.width * image.height * 3
        except UserError as error:
            outcome = "refused" if path.name in str(error) else f"refused without a name: {error}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        try:
            with open_image(path) as photo:
                pixels = train_transform(32).of_file(photo, np.random.default_rng(0))
            assert pixels.shape == (32, 32, 3)
            assert outcome == "decoded"
        except UserError:
            assert outcome == "refused"
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        findings.put((path, outcome, time.perf_counter() - started, taken // 1024))
    findings.put(None)


def test_each_is_decoded_or_refused_by_name(files):
    context = multiprocessing.get_context("fork")
    findings = context.SimpleQueue()
    process = context.Process(target=examine, args=(files, findings))
    process.start()
    outcomes, slow, large = {}, {}, {}
    current = None
    while True:
        deadline = time.monotonic() + SECONDS
        while findings.empty():
            assert process.is_alive(), f"{current} ended the process: exit code {process.exitcode}"
            assert time.monotonic() < deadline, f"{current} takes more than {SECONDS} s"
            time.sleep(0.001)
        finding = findings.get()
        if finding is None:
            break
        current, outcome, seconds, megabytes = finding
        outcomes[current] = outcome
        slow |= {current: seconds} if seconds > SECONDS / 4 else {}
        large |= {current: megabytes} if megabytes > MEGABYTES else {}
    process.join()
    assert set(outcomes.values()) == {"decoded", "refused"}
    assert (slow, large) == ({}, {})
    assert sum(outcome == "decoded" for outcome in outcomes.values()) > 0.6 * len(outcomes)
    formats = {path.suffix.lower() for path, outcome in outcomes.items() if outcome == "decoded"}
    assert {".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".jp2", ".tga", ".ico"} <= formats
