"""The parent of several processes: what it starts, shows, passes on, and how it ends. No Paddle in here."""

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from locations import ROOT

from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.signals import STOPPING
from imgcls.run import launcher as launch
from imgcls.run.launcher import Job, RankFailed, log_file, run_ranks

HEAD = "import os, signal, sys, time\nrank = int(os.environ['PADDLE_TRAINER_ID'])\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Who has not stopped on SIGTERM is killed soon."""
    monkeypatch.setattr(launch, "STOP_SECONDS", 0.5)


@pytest.fixture
def script(tmp_path):
    """A program of a few lines as a command; ``rank`` is its number."""

    def write(lines: str) -> list[str]:
        path = tmp_path / "program.py"
        path.write_text(HEAD + textwrap.dedent(lines))
        return [sys.executable, "-u", str(path)]

    return write


@pytest.fixture
def parent(tmp_path):
    """``run_ranks`` of a command in a process of its own, to send signals to."""
    program = tmp_path / "parent.py"
    program.write_text(
        textwrap.dedent(
            """
            import os
            import sys
            from pathlib import Path
            from imgcls.errors import Interrupted
            from imgcls.run import launcher
            from imgcls.run.launcher import Job, run_ranks
            launcher.GRACE_SECONDS = float(os.environ.get("GRACE", launcher.GRACE_SECONDS))
            try:
                run_ranks(sys.argv[2:], Job(2), Path(sys.argv[1]))
            except Interrupted as error:
                print(error)
                sys.exit(error.status)
            """
        )
    )

    def start(command: list[str], **variables: str) -> subprocess.Popen:
        logs = tmp_path / "logs"
        process = subprocess.Popen(
            [sys.executable, str(program), str(logs), *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: all("ready" in read(log_file(logs, rank)) for rank in range(2)))
        return process

    return start


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_environment_is_that_of_paddles_launcher():
    environments = Job(2, nodes=3, node=1, master="machine:1234").environments()
    assert [one["PADDLE_TRAINER_ID"] for one in environments] == ["2", "3"]
    assert [one["FLAGS_selected_gpus"] for one in environments] == ["0", "1"]
    for one in environments:
        endpoints = one["PADDLE_TRAINER_ENDPOINTS"].split(",")
        assert len(set(endpoints)) == int(one["PADDLE_TRAINERS_NUM"]) == 6
        assert endpoints[int(one["PADDLE_TRAINER_ID"])] == one["PADDLE_CURRENT_ENDPOINT"]
        assert one["PADDLE_MASTER"] == "machine:1234"


def test_ranks_share_the_cores(script, tmp_path, monkeypatch):
    """What this process has set for itself alone must not reach them; what the user has set must."""
    for name in cpu.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu, "set_here", set())
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    cpu.tune()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run_ranks(script("import imgcls\nprint('threads', os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS'])"),
              Job(2), tmp_path / "logs")  # fmt: skip
    expected = f"threads {max(1, cpu.usable_cores() // 2)} 7"
    assert expected in read(log_file(tmp_path / "logs", 1))


def test_rank_0_is_shown_and_every_log_kept(script, tmp_path, capfd):
    logs = tmp_path / "logs"
    run_ranks(script("print('from', rank, sys.stdin.read())"), Job(2), logs, stdin="frozen")
    shown = capfd.readouterr().err
    assert "from 0 frozen" in shown
    assert "from 1" not in shown
    for rank in range(2):
        assert f"from {rank} frozen" in read(log_file(logs, rank))


def test_ranks_go_on_when_nobody_listens(script, tmp_path, monkeypatch):
    """As below ``| head``, and without a standard error; what they say is in their logs."""
    reader, writer = os.pipe()
    os.close(reader)
    command = script("print('from', rank, flush=True)\ntime.sleep(0.3)\nprint('done')")
    with open(writer, "wb", buffering=0) as pipe:
        broken = io.TextIOWrapper(pipe, write_through=True)
        for number, listener in enumerate((broken, None)):
            monkeypatch.setattr(sys, "stderr", listener)
            run_ranks(command, Job(2), tmp_path / f"logs-{number}")
            assert all("done" in read(log_file(tmp_path / f"logs-{number}", rank)) for rank in range(2))
        broken.detach()


def test_when_a_rank_dies_the_others_stop_in_time(script, tmp_path):
    """The survivor here ignores SIGTERM, as one inside a collective does."""
    command = script(
        """
        print("the last words of", rank)
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        print("waited for nothing")
        """
    )
    with pytest.raises(RankFailed) as failure:
        run_ranks(command, Job(2), tmp_path / "logs")
    assert "waited for nothing" not in read(log_file(tmp_path / "logs", 0))
    assert "Rank 1 of 2 was killed (signal SIGKILL)" in str(failure.value)
    assert "the last words of 1" in str(failure.value)


@pytest.mark.parametrize(("death", "status"), [("sys.exit(3)", 3), ("raise RuntimeError('what was wrong')", 1)])
def test_a_failed_rank_is_named_with_the_end_of_its_log(script, tmp_path, death, status):
    command = script(f"print('the last words of', rank)\nif rank == 1: {death}\ntime.sleep(60)")
    with pytest.raises(RankFailed) as failure:
        run_ranks(command, Job(2), tmp_path / "logs")
    assert f"Rank 1 of 2 ended with status {status}" in str(failure.value)
    assert "the last words of 1" in str(failure.value)
    assert ("what was wrong" in str(failure.value)) == (status == 1)
    assert failure.value.restartable


def test_the_cause_is_named_rather_than_its_consequences(script, tmp_path):
    """A kill comes before the connection errors it causes; a stated mistake before everything, and is no reason
    to try again."""
    killed = script("time.sleep(0.3 * rank)\nos.kill(os.getpid(), signal.SIGKILL) if rank == 1 else os.abort()")
    with pytest.raises(RankFailed, match="Rank 1 of 2 was killed"):
        run_ranks(killed, Job(2), tmp_path / "killed")
    mistaken = script("os.kill(os.getpid(), signal.SIGKILL) if rank == 0 else sys.exit(2)")
    with pytest.raises(RankFailed, match="Rank 1 of 2 ended with status 2") as failure:
        run_ranks(mistaken, Job(2), tmp_path / "mistaken")
    assert not failure.value.restartable
    assert isinstance(failure.value, UserError)


HANGS = """
from imgcls.machine import pulse
pulse.begin()
pulse.beat()
if rank == {hangs}:
    {how}
with pulse.waiting():
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("rank", "how", "words"),
    [
        (0, "os.kill(os.getpid(), signal.SIGSTOP)", r"was halted \(as by SIGSTOP\): it has shown"),
        (1, "time.sleep(600)", "hangs: it has shown"),
        (
            1,
            "with pulse.waiting(): os.kill(os.getpid(), signal.SIGSTOP)",
            r"was halted \(as by SIGSTOP\): it has shown",
        ),
    ],
)
def test_who_hangs_is_named_and_not_who_waits(script, tmp_path, monkeypatch, rank, how, words):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(RankFailed) as failure:
        run_ranks(script(HANGS.format(hangs=rank, how=how)), Job(2), tmp_path / "logs", patience=2.0)
    assert re.search(f"Rank {rank} of 2 {words} no sign of life for 2 seconds", str(failure.value))
    assert failure.value.restartable


def test_who_has_not_begun_or_moves_or_waits_is_not_silent(monkeypatch):
    """And a job that was suspended as a whole, this process with it, is not found silent on its return."""
    now = 100.0
    monkeypatch.setattr(launch, "time", SimpleNamespace(monotonic=lambda: now))
    silence = launch._Silence()
    seconds = []
    for passed, count, waiting in [
        (50, 0, False),
        (0.5, 1, False),
        (0.5, 1, False),
        (0.25, 1, False),
        (0.5, 2, False),
        (0.5, 2, True),
        (0.5, 2, False),
        (5000, 2, False),
    ]:
        now += passed
        silence.look(count, waiting)
        seconds.append(silence.seconds)
    assert seconds == [0, 0, 0.5, 0.75, 0, 0, 0.5, 0.5 + launch.LONGEST_LOOK]


def test_who_is_halted_is_named_when_the_others_give_up(script, tmp_path):
    command = script("os.kill(os.getpid(), signal.SIGSTOP) if rank else time.sleep(0.5)\nraise ConnectionError")
    with pytest.raises(RankFailed, match=r"Rank 1 of 2 was halted \(as by SIGSTOP\), and the others gave up on it"):
        run_ranks(command, Job(2), tmp_path / "logs")


SAVES_AND_STOPS = """
def stop(number, frame):
    time.sleep(0.5)
    print("saved", rank)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
print("ready")
time.sleep(60)
"""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_reaches_all_and_they_have_time(parent, script, tmp_path, number):
    process = parent(script(SAVES_AND_STOPS))
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert "all 2 processes have stopped." in output
    for rank in range(2):
        assert f"saved {rank}" in read(log_file(tmp_path / "logs", rank))


def test_who_does_not_stop_is_killed(parent, script):
    """Whoever tells the parent, here one of the processes themselves."""
    command = script(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready")
        if rank == 1:
            time.sleep(1)
            os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
        """
    )
    process = parent(command, GRACE="1")
    output, _ = process.communicate(timeout=300)
    assert "not all by themselves" in output
    assert process.returncode == 128 + signal.SIGTERM


def test_ctrl_c_twice_does_not_wait(parent, script):
    process = parent(script("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)"))
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=0.8 * launch.GRACE_SECONDS)
    assert "not all by themselves" in output


def test_no_rank_outlives_a_killed_parent(parent, script, tmp_path, monkeypatch):
    process = parent(
        script(
            "from imgcls.run.launcher import end_with_parent\n"
            "end_with_parent()\nprint('ready', os.getpid())\ntime.sleep(60)"
        )
    )
    pids = [int(read(log_file(tmp_path / "logs", rank)).split()[-1]) for rank in range(2)]
    assert all(is_running(pid) for pid in pids)
    process.kill()
    process.wait()
    wait_for(lambda: not any(is_running(pid) for pid in pids), seconds=120)
