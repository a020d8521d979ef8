"""Written with PyTorch: python tests/reference/pytorch/make.py, in an environment that has it (these with 2.14.1)."""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent
VALUES = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8

tensors = OrderedDict(
    weight=VALUES,
    transposed=VALUES.permute(2, 0, 1),
    part=VALUES[1, 1:],
    shared=VALUES.view(-1),
    scalar=torch.tensor(7),
    empty=torch.zeros(0, 3),
    parameter=torch.nn.Parameter(VALUES[0]),
    **{str(dtype).removeprefix("torch."): VALUES.to(dtype) for dtype in (torch.float16, torch.bfloat16, torch.float64)},
    **{f"i{kind}": torch.arange(3, dtype=dtype) for kind, dtype in (("8", torch.int8), ("16", torch.int16))},
    bools=torch.tensor([True, False]),
)
torch.save(tensors, HERE / "tensors.pth")
torch.save(tensors, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
network = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2)))
network.module[0].weight.data = torch.arange(6.0).reshape(2, 3, 1, 1)
network.module[0].bias.data = torch.tensor([1.0, 2.0])
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
checkpoint = {"epoch": 3, "state_dict": network.state_dict(), "optimizer": optimizer.state_dict(), "acc1": 0.5}
torch.save(checkpoint, HERE / "checkpoint.pth")
torch.save(torch.nn.Linear(2, 2), HERE / "module.pth")
torch.jit.script(torch.nn.Linear(2, 2)).save(HERE / "script.pt")
