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
from PIL import Image
from values_of_conf import train_transform

from imgcls.data.pictures.decode import decode_image, open_image
from imgcls.errors import UserError

PHOTOS = 40
"""How many times as long as a photo of twelve megapixels, in time of the processor, a file may take."""
HANGS = 300
"""Seconds after which a file is given up."""
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


def examine(paths, findings, photo):
    """Runs in a process of its own: a crash ends it, and not the test."""
    begin = time.process_time()
    decode_image(photo)
    plain = time.process_time() - begin
    for path in paths:
        findings.put((path, "begun", 0.0, 0))
        started = time.process_time()
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
        findings.put((path, outcome, (time.process_time() - started) / plain, taken // 1024))
    findings.put(None)


def test_each_is_decoded_or_refused_by_name(files, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).resize((4000, 3000)).save(tmp_path / "photo.jpg")
    context = multiprocessing.get_context("fork")
    findings = context.SimpleQueue()
    process = context.Process(target=examine, args=(files, findings, tmp_path / "photo.jpg"))
    process.start()
    outcomes, slow, large = {}, {}, {}
    current = None
    while True:
        deadline = time.monotonic() + HANGS
        while findings.empty():
            assert process.is_alive(), f"{current} ended the process: exit code {process.exitcode}"
            assert time.monotonic() < deadline, f"{current} takes more than {HANGS} s"
            time.sleep(0.001)
        finding = findings.get()
        if finding is None:
            break
        current, outcome, photos, megabytes = finding
        outcomes[current] = outcome
        slow |= {current: photos} if photos > PHOTOS else {}
        large |= {current: megabytes} if megabytes > MEGABYTES else {}
    process.join()
    assert set(outcomes.values()) == {"decoded", "refused"}
    assert (slow, large) == ({}, {})
    assert sum(outcome == "decoded" for outcome in outcomes.values()) > 0.6 * len(outcomes)
    formats = {path.suffix.lower() for path, outcome in outcomes.items() if outcome == "decoded"}
    assert {".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".jp2", ".tga", ".ico"} <= formats
