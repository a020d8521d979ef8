"""Which card needs which Paddle, told from what drivers and version files say; the cards here are descriptions."""

import subprocess
import sys

import pytest
from locations import ROOT

from imgcls.machine import diagnosis, installation
from imgcls.machine.diagnosis import Build, Card, advice_on_cards, read_build, read_cards, wheel_for
from imgcls.machine.installation import require_line

CPU = Build("2.6.2", None, ())
GPU_2 = Build("2.6.2", (11, 8), diagnosis.ARCHITECTURES_OF_2)
GPU_3 = Build("3.3.1", (12, 6), (75, 80, 86, 89, 90))


def card(capability: tuple[int, int], cuda: tuple[int, int] = (13, 0)) -> Card:
    return Card("NVIDIA Card", capability, "580.1", cuda)


@pytest.mark.parametrize(
    ("build", "capability", "cuda", "against"),
    [
        (GPU_2, (6, 1), (12, 4), None),
        (GPU_2, (8, 0), (11, 8), None),
        (GPU_2, (8, 9), (12, 4), None),  # Ada runs what was built for Ampere
        (GPU_2, (9, 0), (12, 4), "no kernels for its compute capability 9.0"),
        (GPU_2, (12, 0), (13, 0), "no kernels for its compute capability 12.0"),
        (GPU_2, (6, 0), (12, 4), "no kernels for its compute capability 6.0"),
        (GPU_2, (8, 6), (11, 4), "its driver offers CUDA 11.4, and this PaddlePaddle needs 11.8"),
        (GPU_3, (9, 0), (12, 6), None),
        (GPU_3, (7, 0), (12, 6), "no kernels for its compute capability 7.0"),
        (GPU_3, (10, 0), (12, 9), "no kernels for its compute capability 10.0"),
        (Build("3.4.0", (12, 9), ()), (12, 0), (12, 9), None),  # it does not say: the card is tried
        (CPU, (8, 0), (12, 4), "is a build for the CPU"),
    ],
)
def test_whether_a_build_fits_a_card(build, capability, cuda, against):
    found = build.fits(card(capability, cuda))
    assert (found is None) if against is None else (against in found)


@pytest.mark.parametrize(
    ("capability", "cuda", "wheel"),
    [
        ((7, 5), (11, 8), "cu118"),
        ((8, 9), (12, 4), "cu118"),
        ((9, 0), (12, 6), "cu126"),
        ((9, 0), (12, 4), None),
        ((10, 0), (13, 0), "cu129"),
        ((12, 0), (12, 9), "cu129"),
        ((12, 0), (12, 8), None),
    ],
)
def test_the_wheel_for_a_card(capability, cuda, wheel):
    assert wheel_for(card(capability, cuda)) == wheel


def test_advice():
    def advice(build: Build, capability, cuda=(13, 0), python=(3, 11)) -> str:
        return " ".join(advice_on_cards(build, [card(capability, cuda)], python))

    assert advice(GPU_2, (8, 0)) == ""
    assert advice(CPU, (8, 0)).endswith('pip install "imgcls[gpu]"')
    assert "paddlepaddle-gpu==3.3.1 -i " in advice(CPU, (8, 0), python=(3, 13))
    assert advice(CPU, (8, 0), python=(3, 13)).endswith("/cu118/")
    assert advice(GPU_2, (9, 0)).endswith(
        "paddlepaddle-gpu==3.3.1 -i https://www.paddlepaddle.org.cn/packages/stable/cu126/"
    )
    assert advice(GPU_2, (12, 0)).endswith("/cu129/")
    assert "renew NVIDIA's driver" in advice(GPU_2, (9, 0), cuda=(12, 2))
    assert "needs 12.6" in advice(GPU_2, (9, 0), cuda=(12, 2))


PAGE = """\
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
"""


def test_what_the_driver_says():
    table = "NVIDIA H100 80GB HBM3, 9.0, 550.54.15\nNVIDIA GeForce RTX 3060, 8.6, 550.54.15\n"
    first, second = read_cards(table, PAGE)
    assert first == Card("NVIDIA H100 80GB HBM3", (9, 0), "550.54.15", (12, 4))
    assert second.capability == (8, 6)
    assert str(second) == "NVIDIA GeForce RTX 3060, compute capability 8.6, driver 550.54.15 (CUDA 12.4)"
    assert read_cards("", PAGE) == []
    assert read_cards("an error, nothing else\n", PAGE) == []
    assert read_cards(table, "")[0].cuda == ()


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("full_version = '2.6.2'\ncuda_version = 'False'\n", Build("2.6.2", None, ())),
        ("full_version = '2.6.2'\ncuda_version = '11.8'\n", GPU_2),
        (
            "import os\nfull_version = '3.3.1'\ncuda_version = '12.6'\ncompiled_cuda_archs = []\n",
            Build("3.3.1", (12, 6), ()),
        ),
        ("full_version = '3.3.1'\ncuda_version = '12.6'\ncompiled_cuda_archs = [75, 80, 86, 89, 90]\n", GPU_3),
        ("full_version = '3.3.1'\ncuda_version = '12.6'\ncompiled_cuda_archs = ['75 80', '86 89 90']\n", GPU_3),
        ("full_version = open('/etc/passwd').read()\n", Build("of an unknown version", None, ())),
    ],
)
def test_what_a_version_file_says(text, build, tmp_path):
    (tmp_path / "__init__.py").write_text(text)
    assert read_build(tmp_path / "__init__.py") == build


def test_this_paddle():
    import paddle

    build = diagnosis.installed_build()
    assert build.version == paddle.version.full_version
    assert (build.cuda is not None) == paddle.is_compiled_with_cuda()


def test_problems(monkeypatch):
    def problems(python=(3, 11), **versions: str) -> str:
        known = {"numpy": "1.26.4", "protobuf": "4.25.9"}
        known |= {name.replace("_", "-"): version for name, version in versions.items()}
        for module in (installation, diagnosis):
            monkeypatch.setattr(module, "version_of", known.get)
        return " ".join(diagnosis.problems(python))

    assert problems(paddlepaddle="2.6.2") == ""
    assert problems(paddlepaddle_gpu="3.3.1", numpy="2.3.5", python=(3, 13)) == ""
    assert "lie over each other" in problems(paddlepaddle="3.3.1", paddlepaddle_gpu="2.6.2")
    assert "PaddlePaddle is not installed" in problems()
    assert 'pip install "imgcls[cpu3]"' in problems(python=(3, 13))
    assert "Python 3.10 is not supported: 3.11 to 3.13 is" in problems(python=(3, 10), paddlepaddle="2.6.2")
    assert "PaddlePaddle 3.0.0 is installed" in problems(paddlepaddle="3.0.0")
    assert "numpy 2.4.1 is too new" in problems(paddlepaddle="3.3.1", numpy="2.4.1")


def test_a_card_that_cannot_be_tried_here():
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle might compute on it")
    assert diagnosis.try_card(0)


def test_the_program():
    done = subprocess.run([sys.executable, "-m", "imgcls.doctor"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"PaddlePaddle {require_line().tried}" in done.stdout
    assert "numpy " in done.stdout
    assert "card " in done.stdout
