"""Serve an export directory over HTTP without imgcls: python scripts/clients/service outputs/served --port 8000"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

if missing := [name for name in ("uvicorn", "starlette", "python_multipart", "yaml") if not find_spec(name)]:
    sys.exit(f'error: the service needs {", ".join(missing)}: pip install -e ".[cpu,serve]"')
# ruff: noqa: E402 (the filter must be there before Paddle is imported)
warnings.filterwarnings("ignore", "No ccache")  # Paddle 3 looks for one at every import
os.environ.setdefault("KMP_BLOCKTIME", "1")  # ms that the network's idle threads keep a core from the decoders

import numpy as np
import uvicorn
from answers import answer
from batching import Batcher
from decoding import Decoders
from engines import ENGINES, FASTEST
from model import load_network, read_contract
from pictures import give_memory_back
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

if sys.getfilesystemencoding() != "utf-8":  # the names in an export and its path are, whatever the locale
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.argv])
PAGE = Path(__file__).with_name("page.html").read_bytes()
OPTIONS = {  # default, least, most, meaning
    "port": (8000, 0, 65535, "0 for a free one"),
    "threads": (len(os.sched_getaffinity(0)), 1, 1024, "of the network, and processes for decoding"),
    "max-batch": (8, 1, 1024, "pictures computed at once"),
    "max-wait": (5.0, 0, 10_000, "milliseconds that a picture waits for others"),
    "max-pictures": (64, 1, 100_000, "in the service at a time; the answer to more is 429"),
    "max-bytes": (16 << 20, 1, 1 << 40, "of a request"),
    "max-pixels": (50_000_000, 1, 178_956_970, "of a picture"),
    "max-decode": (5.0, 0.001, 86_400, "seconds to decode a picture; its process is killed and replaced"),
    "timeout": (10.0, 0.001, 86_400, "seconds from the head of a request to its answer"),
}
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once, where Paddle would print what it is at
give_memory_back()
parser = argparse.ArgumentParser(prog="service", description=__doc__)
parser.add_argument("directory", type=Path, help="of the export: inference.yaml and the model files")
parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines (127.0.0.1)")
parser.add_argument("--engine", choices=[*ENGINES, FASTEST], help="auto: the fastest that is installed, measured")
for option, (default, _, _, meaning) in OPTIONS.items():
    parser.add_argument(f"--{option}", type=type(default), default=default, help=f"{meaning} ({default})")
options = parser.parse_args()
for option, (_, least, most, _) in OPTIONS.items():
    if not least <= vars(options)[option.replace("-", "_")] <= most:
        parser.error(f"--{option} must be from {least} to {most}")
try:
    contract = read_contract(options.directory)
    network, engine = load_network(options.directory, contract, options.threads, options.max_batch, options.engine)
    told = contract | {"source": contract.get("source") and PurePosixPath(str(contract["source"])).name}
    print(f"engine: {engine}", file=sys.stderr, flush=True)
    pages = {"/model": JSONResponse(told), "/": HTMLResponse(PAGE)}
except Exception as error:  # of files, YAML, Paddle, and what comes of computing with nonsense
    sys.exit(f"error: cannot serve {options.directory}: {type(error).__name__}: {' '.join(str(error).split())[-300:]}")
names = contract["class_names"]
batcher = Batcher(network, options.max_batch, options.max_wait / 1000, options.max_pictures)
decoders = Decoders(contract, options.threads, options.max_pixels, options.max_decode)


async def predict(request):
    pictures = None
    try:
        async with asyncio.timeout(options.timeout), asyncio.TaskGroup() as group:
            with batcher.admit(1):  # before the body takes memory
                pictures, topk = await read(request)
                with batcher.admit(len(pictures) - 1):
                    tasks = [group.create_task(classify(name, data, topk)) for name, data in pictures]
                    hang_up = group.create_task(disconnection(request))
                    await asyncio.wait(tasks)
                    hang_up.cancel()
    except TimeoutError as error:
        raise HTTPException(503 if pictures else 408, "The time is up.", {"Connection": "close"}) from error
    except ExceptionGroup as errors:  # the first refusal, or a client that hangs up, ends the work on all pictures
        raise errors.exceptions[0] from None
    return JSONResponse({"predictions": [task.result() for task in tasks]})


async def read(request):
    """Names and contents of the pictures, and how many classes are wanted."""
    topk = request.query_params.get("topk", str(min(5, len(names))))
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("multipart/form-data"):
        if "charset" in re.sub('charset="?utf-8"?', "", kind):
            raise HTTPException(400, "The names in a form are read as UTF-8: leave its charset out.")
        async with request.form(max_files=options.max_pictures) as form:
            files = [value for _, value in form.multi_items() if not isinstance(value, str)]
            pictures, topk = [(file.filename, await file.read()) for file in files], str(form.get("topk", topk))
    else:
        pictures = [(None, await request.body())]
    if not (pictures and topk.isdecimal() and len(topk) < 9 and 1 <= int(topk) <= len(names)):
        raise HTTPException(400, f"Send a picture, or some as files of a form, and a topk from 1 to {len(names)}.")
    return pictures, int(topk)


async def disconnection(request):
    await request.receive()  # after the body nothing else comes
    raise ClientDisconnect


async def classify(name, data, topk):
    scores = await batcher.classify(await decoders.network_input(name, data))
    if not np.isfinite(scores).all():
        raise HTTPException(500, f"The network's answer to {name or 'the picture'} is no number: see its weights.")
    return {"file": name, **answer(scores, contract, topk)}


async def health(_):
    trouble = batcher.trouble(options.timeout)
    return JSONResponse({"status": trouble or "ok"}, 503 if trouble else 200)


class Guarded:
    """The application with a header for browsers, which might take an answer for a page."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_guarded(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        with contextlib.suppress(asyncio.CancelledError):  # at the end of the service
            await self.app(scope, receive, send_guarded)


@contextlib.asynccontextmanager
async def lifespan(_):
    async with decoders.running():
        yield


pages["/healthz"] = health
routes = [Route("/predict", predict, methods=["POST"]), *(Route(*entry, methods=["GET"]) for entry in pages.items())]
handlers = {HTTPException: lambda _, e: JSONResponse({"error": e.detail}, e.status_code, e.headers)}
handlers[ClientDisconnect] = lambda *_: Response()  # which nobody reads
app = Guarded(Starlette(False, routes, None, handlers, lifespan=lifespan, max_body_size=options.max_bytes))
# From here on uvicorn answers what has begun and raises the signal again; a thread that computes is not waited for.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
wait = {"timeout_keep_alive": 75, "timeout_graceful_shutdown": options.timeout + 1}  # by when all have their answers
uvicorn.run(app, host=options.host, port=options.port, **wait)
