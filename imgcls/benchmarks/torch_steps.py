"""Training steps of torchvision's and timm's networks, on demand: run by an interpreter that has torch, without imgcls.

Speaks the protocol of ``imgcls.benchmarks.turns``: a JSON object a line in, one out.
"""

import json
import os
import sys
import time

sys.path[:] = [path for path in sys.path if os.path.abspath(path) != os.path.dirname(os.path.abspath(__file__))]

answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what libraries print is no answer

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

NUM_CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make(library, name, layout, batch_size, size):
    """A function that does one step, as ``imgcls.engine.trainer`` does: from bytes, normalised, to updated weights."""
    torch.manual_seed(0)
    if library == "timm":
        import timm

        network = timm.create_model(name, pretrained=False, num_classes=NUM_CLASSES)
    else:
        import torchvision

        extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        network = torchvision.models.get_model(name, weights=None, num_classes=NUM_CLASSES, **extra)
    memory = torch.channels_last if layout == "NHWC" else torch.contiguous_format
    network = network.to(memory_format=memory).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images = torch.randint(0, 256, (batch_size, size, size, 3), dtype=torch.uint8)
    labels = torch.randint(0, NUM_CLASSES, (batch_size,))
    scale = torch.tensor([1 / (255 * std) for std in STD]).reshape(1, 3, 1, 1)
    shift = torch.tensor([-mean / std for mean, std in zip(MEAN, STD)]).reshape(1, 3, 1, 1)  # noqa: B905  any Python

    def step():
        inputs = (images.permute(0, 3, 1, 2).float() * scale + shift).contiguous(memory_format=memory)
        loss = F.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(parameter.numel() for parameter in network.parameters())


def answer(request, steps):
    if request["do"] == "hello":
        return {"versions": {"torch": torch.__version__}}
    if request["do"] == "make":
        keys = ("library", "name", "layout", "batch_size", "size")
        steps[request["key"]], parameters = make(*(request[key] for key in keys))
        return {"parameters": parameters}
    step, count = steps[request["key"]], 0
    began, cpu = time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - began < request["seconds"]:
        step()
        count += 1
    return {"steps": count, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    steps = {}
    for line in sys.stdin:
        try:
            said = answer(json.loads(line), steps)
        except Exception as error:  # a row of the table says so
            said = {"error": " ".join((str(error) or type(error).__name__).split())[:300]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
