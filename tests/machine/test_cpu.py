"""What the process's environment is when Paddle loads."""

import os
import platform
import resource
import subprocess
import sys

import pytest
from locations import ROOT

from imgcls.machine import cpu


def environment_after(statement: str, **variables: str) -> dict[str, str]:
    """The tuned variables of a fresh process after a statement."""
    names = (*cpu.THREAD_VARIABLES, cpu.IDLE_VARIABLE, "MKL_DEBUG_CPU_TYPE", cpu.SWITCH)
    clean = {name: value for name, value in os.environ.items() if name not in names and not name.startswith("PADDLE_")}
    program = f"{statement}\nimport os\nfor n in {names!r}: print(n, os.environ.get(n, ''))"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.split(" ", 1) for line in result.stdout.splitlines())
    return {name: value for name, value in pairs if value}


def test_importing_the_library_sets_threads_and_does_not_import_paddle():
    found = environment_after("import imgcls, sys; assert 'paddle' not in sys.modules")
    assert found == cpu.recommended_settings()
    assert found["FLAGS_paddle_num_threads"] == str(cpu.usable_cores())


def test_the_users_own_environment_wins():
    found = environment_after("import imgcls", OMP_NUM_THREADS="3", MKL_DEBUG_CPU_TYPE="4", KMP_BLOCKTIME="7")
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["MKL_DEBUG_CPU_TYPE"] == "4"
    assert found["KMP_BLOCKTIME"] == "7"


def test_one_setting_switches_it_off():
    assert environment_after("import imgcls", IMGCLS_CPU_TUNING="0") == {cpu.SWITCH: "0"}


FAULTS = """
import resource
def pages_asked_for():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [bytearray(SIZE << 20) for _ in range(50 // SIZE)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages_asked_for()
print(pages_asked_for())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
@pytest.mark.parametrize(
    ("variables", "size", "keep", "again"),
    [
        ({}, 1, "", False),
        ({cpu.SWITCH: "0"}, 1, "", True),
        ({"MALLOC_TRIM_THRESHOLD_": "100000"}, 1, "", True),
        ({}, 50, "", True),
        ({}, 50, "cpu.keep_activations()", False),
        ({"MALLOC_TRIM_THRESHOLD_": "100000"}, 50, "cpu.keep_activations()", True),
    ],
)
def test_freed_memory_is_used_again_without_the_kernel(variables, size, keep, again):
    """50 MB are freed; the kernel clears their pages once more unless the C library keeps them."""
    environment = {name: value for name, value in os.environ.items() if name not in (cpu.SWITCH, *cpu.MEMORY_VARIABLES)}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", f"from imgcls.machine import cpu\n{keep}\nSIZE = {size}\n{FAULTS}"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    pages = 50 * (1 << 20) // resource.getpagesize()
    assert (int(result.stdout) > pages / 2) is again


def test_ranks_of_a_machine_share_its_cores():
    """Two of the three ranks are on this host."""
    endpoints = "10.0.0.1:6001,10.0.0.1:6002,10.0.0.2:6001"
    found = environment_after(
        "import imgcls", PADDLE_TRAINER_ENDPOINTS=endpoints, PADDLE_CURRENT_ENDPOINT="10.0.0.1:6002"
    )
    assert found["OMP_NUM_THREADS"] == str(max(1, cpu.usable_cores() // 2))


def test_a_task_of_slurm_has_the_cores_it_was_given():
    assert environment_after("import imgcls", SLURM_CPUS_PER_TASK="1")["OMP_NUM_THREADS"] == "1"
    for given in ("1000000", "", "many"):
        found = environment_after("import imgcls", SLURM_CPUS_PER_TASK=given)
        assert found["OMP_NUM_THREADS"] == str(cpu.usable_cores())


def test_paddle_computes_with_that_many_threads():
    program = (
        "import imgcls; from imgcls.machine.installation import require_paddle; require_paddle(); import paddle; "
        "assert paddle.get_flags('FLAGS_paddle_num_threads')['FLAGS_paddle_num_threads'] == "
        f"{cpu.usable_cores()}"
    )
    environment_after(program)
