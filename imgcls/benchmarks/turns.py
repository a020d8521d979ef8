"""Programs that do the same work in turns, so that whatever else happens on the machine happens to all of them.

A program reads a JSON object a line and answers with one: ``{"do": "hello"}`` asks for its versions, of whoever is
asked; ``{"do": "make", "key": ..., ...}`` prepares a contestant and answers with what is to be known of it;
``{"do": "run", "key": ..., "seconds": ...}`` works, once at least and as long as that, and answers with ``steps``,
``seconds`` and ``cpu``, its processor's time. ``{"error": ...}`` answers what cannot be done.
"""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgcls.errors import UserError
from imgcls.machine import cpu, processes

REST_SECONDS = 0.25
"""Between contestants: for so long the threads of the last one go on turning, in wait of more work."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Args:
        program: by which of the programs.
        label: unique.
        request: what the program is told to prepare.
    """

    program: str
    label: str
    request: Mapping[str, Any]


@dataclass
class Result:
    """Of one contestant, for each round; or why there are none.

    Attributes:
        known: what its program said when it was prepared.
        rates: steps a second.
        cpu: processor seconds a step.
        others: cores that other programs had meanwhile.
    """

    known: Mapping[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    reason: str | None = None


class Program:
    """A process that answers; ended with its context.

    Args:
        environments: that of the process; then those of others with the same command, which learn from it what to do.
    """

    def __init__(self, command: Sequence[str], environments: Sequence[Mapping[str, str]]):
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  see __exit__
        self.processes: list[subprocess.Popen] = []
        try:
            for environment in environments:
                pipe = subprocess.DEVNULL if self.processes else subprocess.PIPE
                self.processes.append(
                    subprocess.Popen(
                        list(command),
                        stdin=pipe,
                        stdout=pipe,
                        stderr=self.errors,
                        env=dict(environment),
                        encoding="utf-8",
                        errors="replace",
                    )
                )
        except OSError as error:
            raise UserError(f"{command[0]} cannot be started: {error.strerror}.") from error
        self.process = self.processes[0]

    def ask(self, **request: Any) -> dict[str, Any]:
        """What the program answers; ``error`` if it has ended."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            return {"error": self._end()}
        try:
            return json.loads(line)
        except ValueError:  # it is none of these programs
            return {"error": f"said {line.strip()!r:.80}"}

    def _end(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        ended = processes.how_it_ended(self.process.returncode)
        if self.process.returncode == -signal.SIGKILL:
            return f"{ended}, most likely because the machine ran out of memory"
        return ended + (f": {lines[-1].strip()}" if lines else "")

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()
        self.errors.close()


def take_turns(
    programs: Mapping[str, Program], contestants: Sequence[Contestant], rounds: int, seconds: float
) -> dict[str, Result]:
    """Results by the contestants' labels: each has a turn a round, after one that is not counted.

    Args:
        seconds: of a turn, at least; a step is never cut off.
    """
    results = {contestant.label: Result() for contestant in contestants}
    for one in contestants:
        result = results[one.label]
        for request in ({"do": "make", **one.request}, {"do": "run", "seconds": 0}):
            said = programs[one.program].ask(key=one.label, **request)
            result.reason = result.reason or said.get("error")
            result.known = result.known or said
            if result.reason:
                break
    for _ in range(rounds):
        for one in contestants:
            result = results[one.label]
            if not result.reason:
                time.sleep(REST_SECONDS)
                _turn(programs[one.program], one.label, seconds, result)
    return results


def _turn(program: Program, label: str, seconds: float, result: Result) -> None:
    busy, began = cpu.busy_seconds(), time.perf_counter()
    said = program.ask(do="run", key=label, seconds=seconds)
    passed = time.perf_counter() - began
    if "error" in said:
        result.reason = said["error"]
        return
    result.rates.append(said["steps"] / said["seconds"])
    result.cpu.append(said["cpu"] / said["steps"])
    result.others.append(max(0.0, cpu.busy_seconds() - busy - said["cpu"]) / passed)
