"""Paddle's engine in a process of its own, for PaddlePaddle 3, which lets no other thread run while it computes.

A service that shared its process with it would answer nobody meanwhile, and hear no signal. Arrays go through pipes:
a line of JSON with type and shape, then the bytes.
"""

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

DEATH_SIGNAL = 1  # of Linux's prctl: what a process gets when the one that made it has ended


def send(pipe, array):
    array = np.ascontiguousarray(array)
    pipe.write(json.dumps([array.dtype.str, array.shape]).encode() + b"\n")
    pipe.write(array.data)
    pipe.flush()


def receive(pipe):
    kind, shape = json.loads(pipe.readline() or b"null") or (None, None)
    if kind is None:
        raise EOFError
    size = np.dtype(kind).itemsize * math.prod(shape)
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(data, kind).reshape(shape)


def start(directory, threads):
    """A function from the input array to the output array. When the process is gone, so is the service."""
    command = [sys.executable, str(Path(__file__)), str(directory), str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(images):
        try:
            send(process.stdin, images)
            return receive(process.stdout)
        except (EOFError, OSError):
            print("The process that computes has ended; so does the service.", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    return run


def main(directory, threads):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the service ends, and this with it
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print
    from engines import paddle_here

    run = paddle_here(Path(directory), int(threads))
    while os.getppid() == parent:
        try:
            images = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, run(images))


if __name__ == "__main__":
    main(*sys.argv[1:])
