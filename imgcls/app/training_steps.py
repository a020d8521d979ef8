"""``python -m imgcls.app.training_steps``: this library's side of a comparison by ``benchmarks.against``.

Speaks the protocol of ``imgcls.benchmarks.turns``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from imgcls.benchmarks.against import OWN_WAYS
from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle
from imgcls.machine.streams import prepare_streams
from imgcls.run.launcher import PARENT, end_with_parent


def main() -> int:
    """Returns the exit status."""
    prepare_streams()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    if PARENT in os.environ:
        end_with_parent()
    require_paddle()
    steps: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        try:
            said = _answer(json.loads(line), steps)
        except (UserError, MemoryError, ValueError, RuntimeError) as error:  # a row of the table says so
            said = {"error": " ".join(str(error).split())[:300]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()
    return 0


def _answer(request: dict[str, Any], steps: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    if request["do"] == "make":
        steps[request["key"]], parameters = _make(
            **{key: request[key] for key in ("name", "way", "batch_size", "size")}
        )
        return {"parameters": parameters}
    step, count = steps[request["key"]], 0
    began, cpu = time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - began < request["seconds"]:
        step()
        count += 1
    return {"steps": count, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def _make(name: str, way: str, batch_size: int, size: int) -> tuple[Callable[[], None], int]:
    """A function that does one update as a run does it, and the number of parameters that it trains."""
    import paddle

    from imgcls.benchmarks.train_speed import NUM_CLASSES, OPTIMIZER, SameBatch
    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.engine.optimizers import OptimizerLR, build_optimizer
    from imgcls.engine.ranks import current
    from imgcls.engine.trainer import Trainer
    from imgcls.functional.schedules import build_schedule
    from imgcls.machine.device import select_device
    from imgcls.models.registry import build_model, model_info

    select_device(0, training=True)
    paddle.seed(0)
    network = build_model(name, num_classes=NUM_CLASSES)
    trainer = Trainer(network, Preprocessing.of_model(model_info(name)).normalize, compile=OWN_WAYS[way])
    schedule = build_schedule("constant", base_lr=1e-3, steps_per_epoch=1, epochs=1)
    trainer.prepare(build_optimizer("momentum", network, OptimizerLR(schedule), **{**OPTIMIZER, "use_nesterov": True}))
    images, labels, indices = SameBatch(size, batch_size, 1, current()).batch
    trained = sum(parameter.size for parameter in network.parameters() if parameter.trainable)
    return lambda: trainer.train_batch([images], [labels, indices]), int(trained)


if __name__ == "__main__":
    sys.exit(main())
