"""A real SLURM of one node and two cores, as Debian's packages slurm-wlm and munge have it, without accounts."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = {"munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo"}
SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.sock
CredType=cred/munge
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def is_installed() -> bool:
    return all(shutil.which(program, path=SEARCHED) for program in PROGRAMS)


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """What a command needs in its environment to be one of the cluster's users."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as running:
        directory = Path(name)
        for part in ("state", "spool"):
            (directory / part).mkdir()
        key = directory / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        names = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "directory": directory}
        ports = dict(zip(("controller", "node"), _free_ports(2), strict=True))
        (directory / "slurm.conf").write_text(CONFIGURATION.format(**names, **ports))
        environment = {"PATH": SEARCHED, "SLURM_CONF": str(directory / "slurm.conf")}

        def start(*command: str) -> None:
            log = running.enter_context((directory / f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
            running.callback(process.wait)
            running.callback(process.terminate)

        files = {"key-file": key, "socket": directory / "munge.sock", "pid-file": directory / "munge.pid"}
        files |= {"seed-file": directory / "munge.seed", "log-file": directory / "munge.log"}
        start("munged", "--foreground", "--force", *(f"--{what}={path}" for what, path in files.items()))
        _wait(directory, lambda: (directory / "munge.sock").exists())
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", names["host"])
        sinfo = ["sinfo", "-h", "-o", "%T"]

        def is_idle() -> bool:
            answer = subprocess.run(sinfo, env={**os.environ, **environment}, capture_output=True, text=True)
            return answer.stdout.strip() == "idle"

        _wait(directory, is_idle)
        yield environment


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(directory: Path, is_so) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in directory.glob("*.log"))
            raise RuntimeError(f"SLURM does not start:\n{logs}")
        time.sleep(0.2)
