"""Pictures of different requests in one batch: gathered for some milliseconds, computed in a thread of their own."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from starlette.exceptions import HTTPException


class Batcher:
    """Runs ``network`` on up to ``max_batch`` images; none waits for more than ``max_wait`` seconds for others."""

    def __init__(self, network, max_batch, max_wait, max_pictures):
        self.network, self.max_batch, self.max_wait, self.max_pictures = network, max_batch, max_wait, max_pictures
        self.pictures, self.queue, self.worker, self.thread = 0, asyncio.Queue(), None, ThreadPoolExecutor(1, "network")
        self.began = None  # when the batch that is being computed was begun

    @contextlib.contextmanager
    def admit(self, count):
        """Hold places among the ``max_pictures`` of the service, from a request's first byte to its answer."""
        if self.pictures + count > self.max_pictures:
            raise HTTPException(429, "Too many pictures are waiting. Try again.", {"Retry-After": "1"})
        self.pictures += count
        try:
            yield
        finally:
            self.pictures -= count

    def trouble(self, seconds):
        """What keeps new pictures from an answer: too many others, or a batch that has taken so long by now."""
        if self.began is not None and time.monotonic() - self.began > seconds:
            return "the network does not answer"
        return "no room for more pictures" if self.pictures >= self.max_pictures else None

    async def classify(self, image):
        """The network's row for one image; never computed when cancelled before its batch begins."""
        loop = asyncio.get_running_loop()
        self.worker, place = self.worker or loop.create_task(self.work()), loop.create_future()
        self.queue.put_nowait((image, place, loop.time() + self.max_wait))
        rows, number = await place
        return (await asyncio.shield(rows))[number]

    async def work(self):
        while True:
            batch = [await self.queue.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(batch[0][2]):
                    while len(batch) < min(self.max_batch, self.pictures):  # no waiting for those who are not here
                        batch.append(await self.queue.get())
            if waiting := [entry[:2] for entry in batch if not entry[1].done()]:
                images, places = zip(*waiting, strict=True)
                self.began = time.monotonic()
                rows = asyncio.get_running_loop().run_in_executor(self.thread, self.network, np.stack(images))
                for number, place in enumerate(places):
                    place.set_result((rows, number))
                await asyncio.wait([rows])
                self.began = None
