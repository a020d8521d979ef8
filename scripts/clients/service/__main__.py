"""Serve an export directory over HTTP without imgcls: python scripts/clients/service outputs/served --port 8000"""

import argparse
import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

if missing := [name for name in ("uvicorn", "starlette", "python_multipart", "paddle", "yaml") if not find_spec(name)]:
    sys.exit(f'error: the service needs {", ".join(missing)}: pip install -e ".[cpu,serve]"')

import numpy as np
import uvicorn
from batching import Batcher
from model import load_network, network_input, read_contract
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).with_name("page.html").read_bytes()
OPTIONS = {  # default, least, most, meaning
    "port": (8000, 0, 65535, "0 for a free one"),
    "threads": (len(os.sched_getaffinity(0)), 1, 1024, "of the network, and for decoding"),
    "max-batch": (8, 1, 1024, "pictures computed at once"),
    "max-wait": (5.0, 0, 10_000, "milliseconds that a picture waits for others"),
    "max-pictures": (64, 1, 100_000, "in the service at a time; the answer to more is 429"),
    "max-bytes": (16 << 20, 1, 1 << 40, "of a request"),
    "max-pixels": (50_000_000, 1, 178_956_970, "of a picture"),
    "timeout": (10.0, 0.001, 86_400, "seconds from the head of a request to its answer"),
}
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn answers what has begun, and raises the signal again
parser = argparse.ArgumentParser(prog="service", description=__doc__)
parser.add_argument("directory", type=Path, help="with inference.pdmodel, inference.pdiparams and inference.yaml")
parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines (127.0.0.1)")
for option, (default, _, _, meaning) in OPTIONS.items():
    parser.add_argument(f"--{option}", type=type(default), default=default, help=f"{meaning} ({default})")
options = parser.parse_args()
for option, (_, least, most, _) in OPTIONS.items():
    if not least <= vars(options)[option.replace("-", "_")] <= most:
        parser.error(f"--{option} must be from {least} to {most}")
try:
    contract = read_contract(options.directory)
    network = load_network(options.directory, contract, options.threads, options.max_batch)
    pages = {"/model": JSONResponse(contract), "/healthz": JSONResponse({"status": "ok"}), "/": HTMLResponse(PAGE)}
except Exception as error:  # of files, YAML, Paddle, and what comes of computing with nonsense
    sys.exit(f"error: cannot serve {options.directory}: {type(error).__name__}: {' '.join(str(error).split())[-300:]}")
names = contract["class_names"]
batcher = Batcher(network, options.max_batch, options.max_wait / 1000, options.max_pictures)
decoders = ThreadPoolExecutor(options.threads, "decoder")


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
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
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
    try:
        image = await asyncio.wrap_future(decoders.submit(network_input, data, contract, options.max_pixels))
    except Image.DecompressionBombError as error:
        raise HTTPException(413, f"{name or 'The picture'} has more than {options.max_pixels:,} pixels.") from error
    except Exception as error:  # decoders meet a damaged file with whatever their code happens to raise
        raise HTTPException(415, f"{name or 'The picture'} is not an image, or it is damaged.") from error
    scores = await batcher.classify(image)
    top = [int(number) for number in np.argsort(-scores, kind="stable")[:topk]]
    return {"file": name, "top": [{"class": c, "name": names[c], "score": float(scores[c])} for c in top]}


routes = [Route("/predict", predict, methods=["POST"]), *(Route(*entry, methods=["GET"]) for entry in pages.items())]
handlers = {HTTPException: lambda _, e: JSONResponse({"error": e.detail}, e.status_code, e.headers)}
handlers[ClientDisconnect] = lambda *_: Response()  # which nobody reads
app = Starlette(routes=routes, exception_handlers=handlers, max_body_size=options.max_bytes)
uvicorn.run(app, host=options.host, port=options.port, timeout_keep_alive=75, timeout_graceful_shutdown=options.timeout)
