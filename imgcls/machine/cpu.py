"""CPU threads, MKL's code path and the C library's memory, set before Paddle loads.

Paddle 2.6.2 trains on one thread unless told otherwise, and its MKL takes a slow path on AMD
processors. Both are decided when the library loads, so the variables must be there before the
first ``import paddle`` of the process. The C library gives freed memory back to the kernel, and
each next image or activation waits for its pages to be cleared. Threads of MKL's OpenMP that have nothing
to do go on turning for 200 ms, on cores that could decode images. A variable the user has set is never
changed, and ``IMGCLS_CPU_TUNING=0`` switches all of this off.
"""

import contextlib
import ctypes
import os
import platform
import sys
import zlib  # noqa: F401  Pillow 13 crashes on PNGs where Paddle's copy of zlib is the first to be loaded
from pathlib import Path

SWITCH = "IMGCLS_CPU_TUNING"
CORES_OF_TASK = "SLURM_CPUS_PER_TASK"
IDLE_VARIABLE = "KMP_BLOCKTIME"
"""Milliseconds for which an idle thread turns before it sleeps: 1 costs the network nothing that was measured."""

ONEDNN_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that name the newest set of instructions which oneDNN may use."""

MEMORY_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads")
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers of glibc's settings, see mallopt(3)."""
MEBIBYTE = 1 << 20
ALL = -1
"""Bytes to hold on to: all that were ever freed."""

set_here: set[str] = set()
"""Variables that ``tune`` has set, as opposed to the user."""


def usable_cores() -> int:
    """Number of cores this process may run on (affinity respected where the system has it).

    In a job of SLURM no more than each of its tasks has, also on a cluster that does not bind them to these.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    of_task = os.environ.get(CORES_OF_TASK, "")
    return min(cores, int(of_task)) if of_task.isdecimal() and int(of_task) else cores


def name() -> str:
    """What the processor calls itself; the machine's architecture where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def load() -> float:
    """How many threads wanted a core over the last minute, those of this program among them; 0 where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def is_busy() -> bool:
    """Whether others have the cores as well, so that times say little."""
    return load() > usable_cores()


def busy_seconds() -> float:
    """Processor time that all programs of this machine together have had, all cores added up; 0 where nobody counts."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        user, nice, system, _idle, _waiting, *interrupts = map(int, first[1:9])
        return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def ranks_on_this_machine() -> int:
    """How many training processes of the same job share this machine, from the launcher's variables."""
    current = os.environ.get("PADDLE_CURRENT_ENDPOINT", "")
    host = current.rpartition(":")[0]
    endpoints = os.environ.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")
    return max(1, sum(endpoint.rpartition(":")[0] == host for endpoint in endpoints if host))


def recommended_settings() -> dict[str, str]:
    """The variables this machine wants, whatever is set at present."""
    threads = str(max(1, usable_cores() // ranks_on_this_machine()))
    settings = dict.fromkeys(THREAD_VARIABLES, threads) | {IDLE_VARIABLE: "1"}
    if _is_amd():
        settings["MKL_DEBUG_CPU_TYPE"] = "5"
    return settings


def tune() -> None:
    """Set what the user has not set, the variables only if Paddle is not loaded yet; nothing when switched off."""
    if os.environ.get(SWITCH, "1") == "0":
        return
    _keep_freed_memory(64 * MEBIBYTE, below=32 * MEBIBYTE)
    if "paddle" in sys.modules:
        return
    for name, value in recommended_settings().items():
        if name not in os.environ:
            os.environ[name] = value
            set_here.add(name)


def keep_activations() -> None:
    """Hold on to the memory of a step for the next one, from now on; not if the user has settings, or switched it off.

    Every step of a training frees as much as it took, in blocks of up to hundreds of MiB, and where the kernel gets
    them back it clears them again for the next step: a sixth of the time of a fast graph.
    """
    if os.environ.get(SWITCH, "1") != "0":
        _keep_freed_memory(ALL, below=1024 * MEBIBYTE)


def onednn_is_kept_from_avx512() -> bool:
    """By a variable, whatever the processor has; OpenVINO goes by it, too."""
    return any(one == "AVX" or one.startswith(("SSE", "AVX2")) for one in _onednn_limits())


def onednn_is_kept_from_bfloat16() -> bool:
    """As from AVX-512; its first processors compute with 8-bit numbers (VNNI) and not with bfloat16."""
    return onednn_is_kept_from_avx512() or any(one in ("AVX512_CORE", "AVX512_CORE_VNNI") for one in _onednn_limits())


def _onednn_limits() -> list[str]:
    return [os.environ.get(name, "").upper() for name in ONEDNN_LIMITS]


def inherited_environment() -> dict[str, str]:
    """The environment without what ``tune`` has set, for child processes that share the cores and tune themselves."""
    return {name: value for name, value in os.environ.items() if name not in set_here}


def describe() -> str:
    """One phrase for the system line: cores and the variables in force."""
    names = (*THREAD_VARIABLES, IDLE_VARIABLE, "MKL_DEBUG_CPU_TYPE")
    in_force = " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
    tuning = "off" if os.environ.get(SWITCH, "1") == "0" else "on"
    return f"{usable_cores()} cores, tuning {tuning} ({in_force or 'nothing set'})"


def _keep_freed_memory(most: int, *, below: int) -> None:
    """Let the C library (glibc) hold on to ``most`` freed bytes, of blocks ``below`` that many, in this process."""
    if any(name in os.environ for name in MEMORY_VARIABLES):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, below)
        mallopt(TRIM_THRESHOLD, most)


def _is_amd() -> bool:
    try:
        return b"AuthenticAMD" in Path("/proc/cpuinfo").read_bytes()
    except OSError:
        return False
