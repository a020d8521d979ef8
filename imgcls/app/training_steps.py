"""``python -m imgcls.app.training_steps``: this library's side of a comparison by ``benchmarks.against``.

Speaks the protocol of ``imgcls.benchmarks.turns``.
"""

import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imgcls.benchmarks.against import OWN_WAYS
from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle
from imgcls.machine.streams import prepare_streams
from imgcls.run.launcher import PARENT, end_with_parent

if TYPE_CHECKING:
    from imgcls.engine.ranks import Ranks

MANY = 10**9
"""Updates of an epoch that does not end."""


def main() -> int:
    """Returns the exit status."""
    prepare_streams()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    if PARENT in os.environ:
        end_with_parent()
    require_paddle()
    from imgcls.engine.ranks import join
    from imgcls.machine.device import select_device

    select_device(0, training=True)
    ranks = join()
    steps: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin if ranks.first else itertools.repeat(""):
        try:
            said = _answer(json.loads(ranks.broadcast(line)), steps, ranks)
        except (UserError, MemoryError, ValueError, RuntimeError) as error:  # a row of the table says so
            said = {"error": " ".join(str(error).split())[:300]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()
    return 0


def _answer(request: dict[str, Any], steps: dict[str, Callable[[], Any]], ranks: "Ranks") -> dict[str, Any]:
    if request["do"] == "make":
        steps[request["key"]], parameters = _make(
            ranks, **{key: request[key] for key in ("name", "way", "batch_size", "size")}
        )
        return {"parameters": parameters}
    step = steps[request["key"]]
    began, cpu = time.perf_counter(), time.process_time()
    step()
    left = request["seconds"] / (time.perf_counter() - began) - 1
    more = max(0, math.ceil(json.loads(ranks.broadcast(json.dumps(left)))))  # as many on every rank
    for _ in range(more):
        step()
    seconds = time.perf_counter() - began
    return {"steps": 1 + more, "seconds": seconds, "cpu": sum(ranks.gather_values(time.process_time() - cpu))}


def _make(ranks: "Ranks", name: str, way: str, batch_size: int, size: int) -> tuple[Callable[[], None], int]:
    """A function that does one update as a run does it, and the number of parameters that it trains."""
    import paddle

    from imgcls.benchmarks.train_speed import NUM_CLASSES, OPTIMIZER, SameBatch
    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.engine.optimizers import OptimizerLR, build_optimizer
    from imgcls.engine.trainer import Trainer
    from imgcls.functional.schedules import build_schedule
    from imgcls.models.registry import build_model, model_info

    if batch_size % ranks.count:
        raise UserError(f"a batch of {batch_size} cannot be shared by {ranks.count}")
    paddle.seed(0)
    network = build_model(name, num_classes=NUM_CLASSES)
    trainer = Trainer(network, Preprocessing.of_model(model_info(name)).normalize, compile=OWN_WAYS[way])
    schedule = build_schedule("constant", base_lr=1e-3, steps_per_epoch=1, epochs=1)
    trainer.prepare(build_optimizer("momentum", network, OptimizerLR(schedule), **{**OPTIMIZER, "use_nesterov": True}))
    images, labels, indices = SameBatch(size, batch_size // ranks.count, 1, ranks).batch
    trainer.global_batch_size, trainer.num_samples = batch_size, batch_size * MANY
    trained = sum(parameter.size for parameter in network.parameters() if parameter.trainable)
    return lambda: trainer.train_batch([images], [labels, indices]), int(trained)


if __name__ == "__main__":
    sys.exit(main())
