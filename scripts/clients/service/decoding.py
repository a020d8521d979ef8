"""Pictures decoded in processes, each of which is killed and replaced when it takes too long."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import numpy as np
from channels import input_of
from pictures import LARGE, REFUSALS
from PIL import Image
from starlette.exceptions import HTTPException
from work import TooMuchWork

PROGRAM = Path(__file__).with_name("pictures.py")


class Decoders:
    """``count`` processes. One that takes more than ``seconds``, or whose client hangs up, is killed and replaced."""

    def __init__(self, contract, count, max_pixels, seconds):
        needed = {key: value for key, value in contract.items() if key != "class_names"}
        self.command = [sys.executable, str(PROGRAM), json.dumps([needed, max_pixels], default=str)]
        self.count, self.max_pixels, self.seconds = count, max_pixels, seconds
        self.shape, self.type = input_of(contract)
        self.idle, self.processes, self.starts = asyncio.Queue(), set(), set()

    @contextlib.asynccontextmanager
    async def running(self):
        """From the first picture to the last."""
        await asyncio.gather(*(self.start() for _ in range(self.count)))
        try:
            yield
        finally:
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            with contextlib.suppress(TimeoutError):  # or Python complains of their pipes when all is over
                async with asyncio.timeout(1):
                    await asyncio.gather(*(process.wait() for process in self.processes))

    async def start(self):
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(*self.command, **pipes)
        self.processes.add(process)
        await process.stdout.readexactly(1)  # it is ready: its time is for pictures
        self.idle.put_nowait(process)

    async def start_again(self):
        while True:
            with contextlib.suppress(OSError, EOFError):  # the machine is full: not for ever
                return await self.start()
            await asyncio.sleep(1)

    def replace(self, process):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        self.processes.discard(process)
        task = asyncio.get_running_loop().create_task(self.start_again())
        self.starts.add(task)  # or it might be collected
        task.add_done_callback(self.starts.discard)

    async def network_input(self, name, data):
        """The input of the network for a picture of this name, or what is to be said about it."""
        name, process, is_done = name or "The picture", await self.idle.get(), False
        try:
            async with asyncio.timeout(self.seconds):
                process.stdin.write(len(data).to_bytes(4, "big") + data)
                await process.stdin.drain()
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                told = await process.stdout.readexactly(size)
            is_done = resident_bytes(process.pid) < LARGE
        except TimeoutError:
            raise HTTPException(413, f"{name} takes more than {self.seconds:g} s to decode.") from None
        except (EOFError, OSError) as error:  # it has died, for want of memory or of its decoder
            raise HTTPException(415, f"{name} ended the process that decoded it.") from error
        finally:  # a client that has hung up, too
            self.idle.put_nowait(process) if is_done else self.replace(process)
        if told[0] == REFUSALS[Image.DecompressionBombError]:
            raise HTTPException(413, f"{name} has more than {self.max_pixels:,} pixels.")
        if told[0] == REFUSALS[TooMuchWork]:
            raise HTTPException(413, f"{name} would take too long to decode: {told[1:].decode()}.")
        if told[0]:
            raise HTTPException(415, f"{name} is not an image, or it is damaged.")
        return np.frombuffer(told, self.type, offset=1).reshape(self.shape)


def resident_bytes(pid):
    """Memory of a process; 0 where no file tells it."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) << 12
    return 0
