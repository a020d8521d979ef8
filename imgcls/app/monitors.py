"""Whether an evaluation of a run will give ``trainer.monitor`` and ``trainer.metrics``."""

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig

from imgcls.errors import close_matches
from imgcls.functional.monitoring import (
    AP_OF,
    CLASS_METRICS,
    F1_OF,
    MEAN_AP,
    TAG_METRICS,
    metric_names,
    on_request,
    view_of,
)

OTHER_NAMES = {
    **dict.fromkeys(("acc", "accuracy", "acc1", "acc@1", "top-1", "top_1", "precision@1"), "top1"),
    **dict.fromkeys(("acc5", "acc@5", "top-5", "top_5"), "top5"),
    **dict.fromkeys(("f1", "f1_score", "f1_macro", "macro-f1"), "macro_f1"),
    **dict.fromkeys(("balanced_acc", "bacc", "uar"), "balanced_accuracy"),
    **dict.fromkeys(("map", "mean_ap"), MEAN_AP),
}
"""Other words for figures."""


def monitor_problems(
    config: DictConfig, num_classes: int | None, class_names: Sequence[str] | None = None
) -> Iterator[str]:
    """What is wrong with ``trainer.monitor`` and ``trainer.metrics``: no evaluation of this run will give it.

    With callbacks of the user's own nothing is known before the first evaluation.

    Args:
        num_classes: as far as it is known.
        class_names: likewise.
    """
    settings, callbacks = config.trainer, config.callbacks
    averaged, several = callbacks.ema.enabled, config.data.multi_label

    def is_on_request(metric: str) -> bool:
        return on_request(metric, class_names, several)

    requestable = [*(TAG_METRICS if several else CLASS_METRICS), *((f"{AP_OF}<class>",) * several), f"{F1_OF}<class>"]
    for metric in settings.metrics:
        if metric.startswith(F1_OF) and not is_on_request(metric):
            yield f"trainer.metrics={metric}: {_no_class(metric, class_names)}"
        elif not is_on_request(metric):
            yield (
                f"trainer.metrics={metric}: there is no such figure.{close_matches(metric, requestable)} There are: "
                f"{', '.join(requestable)}; loss and {MEAN_AP if several else 'trainer.topk'} are there without it."
            )
    plain, view = view_of(settings.monitor, ("ema",))
    if is_on_request(settings.monitor) or (averaged and view and is_on_request(plain)):
        return
    names = metric_names(settings.topk, num_classes, ("", "ema") if averaged else ("",), several)
    if settings.monitor in names or callbacks.extra or settings.profiler.enabled or not settings.eval_every:
        return
    if (plain in names or is_on_request(plain)) and not averaged:
        reason = "there are no averaged weights without callbacks.ema.enabled=true."
    elif several and plain.startswith("top"):
        reason = f"pictures with several classes have no top-k accuracy; add trainer.monitor={MEAN_AP}."
    elif plain.startswith(F1_OF):
        reason = _no_class(plain, class_names)
    elif plain in metric_names(settings.topk, None):
        reason = f"of {num_classes} classes the right one is always among the first {plain.removeprefix('top')}."
    else:
        known = [*names, *(one for one in requestable if not one.endswith(">"))]
        other = OTHER_NAMES.get(settings.monitor.lower().removeprefix("val_"))
        advice = f" Write {other}." if other in known else close_matches(settings.monitor, known)
        reason = f"no evaluation of this run gives such a metric.{advice}"
    more = f"; on request {', '.join(requestable)}"
    yield f"trainer.monitor={settings.monitor}: {reason} There are: {', '.join(names)}{more}."


def _no_class(metric: str, class_names: Sequence[str]) -> str:
    name = metric.removeprefix(F1_OF)
    shown = ", ".join(class_names[:10]) + ", ..." * (len(class_names) > 10)
    return f"there is no class '{name}'.{close_matches(name, class_names)} There are: {shown}."
