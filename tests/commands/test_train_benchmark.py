"""``imgcls.benchmark benchmark.what=train``: a row for every combination, measured or with the reason why not."""

import numpy as np
import pytest
from PIL import Image

from imgcls.machine.installation import gpu_count

TINY = (
    *("benchmark.what=train", "model=mobilenetv1_x0_25", "model.input_size=32", "benchmark.batch_size=4"),
    *("benchmark.steps=3", "benchmark.warmup=1", "benchmark.repeats=1", "benchmark.num_workers=1"),
)
PRECISIONS = ("float32", "O1", "O2")


@pytest.fixture
def on_cpu():
    if gpu_count():
        pytest.skip("says what a machine without a GPU says")


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, in order."""
    return [line.split() for line in text.splitlines() if line.split()[:1] and line.split()[0] in PRECISIONS]


def test_one_and_two_processes_on_both_kinds_of_data(on_cpu, run_program, tmp_path):
    directory = tmp_path / "photos" / "train" / "noise"
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(directory / f"{number}.jpg")
    wanted = ("benchmark.processes=[1,2]", "benchmark.data_formats=[NCHW]", "benchmark.compile=[false]")
    given = ("benchmark.precisions=[float32,O1]", "data=folder", f"data.root={tmp_path / 'photos'}")
    text = run_program("benchmark", *TINY, *wanted, *given, cwd=tmp_path).stdout
    titles = [f"mobilenetv1_x0_25, 32 px, batch 4 per process, {kind} data" for kind in ("synthetic", "real")]
    assert [title in text for title in titles] == [True, True]
    table = rows(text)
    labels = [[p, "NCHW", "eager", count] for p in ("float32", "O1") for count in "12"]
    assert [row[:4] for row in table] == 2 * labels
    for one, two in (table[0:2], table[4:6]):
        rates = [float(row[4].replace(",", "")) for row in (one, two)]
        assert one[5] == "1.00x"
        assert float(two[5][:-1]) == pytest.approx(rates[1] / rates[0], abs=0.05)
        assert 100 < int(one[6]) < 2000
        assert one[8] == "0%"
    for row in (*table[2:4], *table[6:8]):
        assert row[4:] == ["[1]", "-", "-", "-", "-"]
    assert text.count("[1] not on a CPU") == 2


def test_channels_last_and_compiled(on_cpu, run_program, tmp_path):
    wanted = ("benchmark.data=[synthetic]", "benchmark.precisions=[float32]", "benchmark.data_formats=[NHWC]")
    table = rows(run_program("benchmark", *TINY, *wanted, cwd=tmp_path).stdout)
    assert [row[1:3] for row in table] == [["NHWC", "eager"], ["NHWC", "compiled"]]
    assert all(float(row[4].replace(",", "")) > 0 for row in table)


def test_what_cannot_run_is_listed_and_the_rest_goes_on(on_cpu, run_program, tmp_path):
    """A process that fails is a row with the reason."""
    (tmp_path / "photos").mkdir()
    wanted = ("benchmark.data_formats=[NCHW]", "benchmark.compile=[false]", "benchmark.precisions=[float32]")
    photos = ("data=folder", f"data.root={tmp_path / 'photos'}")
    text = run_program("benchmark", *TINY, *wanted, *photos, cwd=tmp_path).stdout
    synthetic, real = rows(text)
    assert float(synthetic[4]) > 0
    assert real[4] == "[1]"
    assert "has no directory 'train'" in " ".join(text.split())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("benchmark.processes=[1,0]", "benchmark.processes=0: must be at least 1."),
        ("benchmark.precisions=[fp32]", "benchmark.precisions=fp32: must be one of float32, O1, O2."),
        ("benchmark.data=[]", "benchmark.data=[]: must name at least one."),
    ],
)
def test_wrong_settings(wanted, message, ask, tmp_path):
    result = ask("benchmark", "benchmark.what=train", wanted, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
