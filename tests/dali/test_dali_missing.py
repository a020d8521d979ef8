"""Without NVIDIA DALI: one message that says what to install."""

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(
    find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None, reason="NVIDIA DALI is installed"
)
def test_the_error_names_the_extra(run_program, tmp_path):
    result = run_program("train", "data.backend=dali", "debug=fast", cwd=tmp_path, check=False)
    assert result.returncode == 2, result.stdout + result.stderr
    assert 'pip install "imgcls[dali]"' in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["transform.rotation=10", "transform=randaugment"], "switch transform.rotation, transform.randaugment"),
        (["transform.color_jitter=[0,0.4,0,0]"], "switch transform.color_jitter off"),
        (["transform.interpolation=area"], "transform.interpolation=area: not with data.backend=dali"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_else(arguments, expected, ask, tmp_path):
    result = ask("train", "data.backend=dali", *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert expected in result.stderr
    assert not (tmp_path / "outputs").exists() or not list(tmp_path.glob("outputs/*/checkpoints/*"))
