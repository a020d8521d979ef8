"""Types of the configuration's keys; their values live in ``conf/``.

Composed configurations are merged into these classes, so that a wrong type is refused before any
data is read. A group whose choices have different keys lists the union of them.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

OF_THE_JOB = ("on_error", "max_errors", "cache", "cache_mb", "worker_timeout")
"""Keys of ``data`` that say how a job reads images, not what a run was trained on."""


@dataclass
class ModelConfig:
    name: str = MISSING
    num_classes: int | None = None  # from the data when left out
    pretrained: Any = None  # true, or a path
    exclude: list[str] = field(default_factory=list)  # patterns of tensors not to load
    freeze: list[str] = field(default_factory=list)  # patterns of tensors not to train
    data_format: str = "NCHW"
    input_size: int = MISSING
    resize_size: int = MISSING
    interpolation: str = MISSING
    mean: list[float] = MISSING
    std: list[float] = MISSING
    args: dict[str, Any] = field(default_factory=dict)  # arguments of the family's network class


@dataclass
class DataConfig:
    name: str = MISSING
    format: str = MISSING
    backend: str = MISSING  # pillow | dali
    root: str | None = MISSING
    train_list: str | None = MISSING
    val_list: str | None = MISSING
    class_map: str | None = MISSING
    num_classes: int | None = MISSING
    train_size: int | None = MISSING
    val_size: int | None = MISSING
    check_files: str = MISSING
    allow_empty_classes: bool = MISSING
    max_pixels: int = MISSING
    worker_timeout: int = MISSING
    on_error: str = MISSING  # fail | skip
    max_errors: int = MISSING
    cache: str | None = MISSING  # ram
    cache_mb: int = MISSING


@dataclass
class RandAugmentConfig:
    num_layers: int = MISSING
    magnitude: float = MISSING


@dataclass
class TransformConfig:
    size: int = MISSING
    resize_size: int | None = MISSING
    interpolation: str = MISSING
    mean: list[float] = MISSING
    std: list[float] = MISSING
    rotation: int = MISSING
    scale: list[float] = MISSING
    ratio: list[float] = MISSING
    color_jitter: list[float] = MISSING
    flip: float = MISSING
    autoaugment: bool | str = MISSING  # false | imagenet
    randaugment: RandAugmentConfig = field(default_factory=RandAugmentConfig)


@dataclass
class OptimizerConfig:
    name: str = MISSING
    lr: float = MISSING
    momentum: float = MISSING
    use_nesterov: bool = MISSING
    rho: float = MISSING
    beta1: float = MISSING
    beta2: float = MISSING
    epsilon: float = MISSING
    weight_decay: float = MISSING
    no_decay_on_norm_and_bias: bool = MISSING
    head_lr_multiplier: float = MISSING
    grad_clip_norm: float | None = MISSING
    scale_lr: bool = MISSING
    base_batch_size: int = MISSING


@dataclass
class ScheduleConfig:
    name: str = MISSING
    warmup_epochs: float = MISSING
    warmup_start_lr: float = MISSING
    warmup_whole_epochs: bool = MISSING
    boundaries: list[float] = MISSING
    decay_epochs: float | None = MISSING
    decay_rate: float = MISSING
    final_lr: float = MISSING
    power: float = MISSING


@dataclass
class RandomErasingConfig:
    enabled: bool = MISSING
    probability: float = MISSING
    area: list[float] = MISSING
    ratio: list[float] = MISSING
    fill: str = MISSING  # noise | mean


@dataclass
class CutMixConfig:
    enabled: bool = MISSING
    alpha: float = MISSING
    switch_prob: float = MISSING
    stop_epoch: int | None = MISSING


@dataclass
class MixupConfig:
    enabled: bool = MISSING
    alpha: float = MISSING
    stop_epoch: int | None = MISSING


@dataclass
class LabelSmoothingConfig:
    enabled: bool = MISSING
    epsilon: float = MISSING


@dataclass
class EMAConfig:
    enabled: bool = MISSING
    decay: float = MISSING


@dataclass
class SwitchConfig:
    enabled: bool = MISSING


@dataclass
class CallbacksConfig:
    random_erasing: RandomErasingConfig = field(default_factory=RandomErasingConfig)
    cutmix: CutMixConfig = field(default_factory=CutMixConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    label_smoothing: LabelSmoothingConfig = field(default_factory=LabelSmoothingConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
    nan_guard: SwitchConfig = field(default_factory=SwitchConfig)
    extra: list[dict[str, Any]] = MISSING


@dataclass
class AmpConfig:
    level: str = MISSING
    dtype: str = MISSING
    scale_loss: float = MISSING
    dynamic: bool = MISSING
    min_scale: float = MISSING
    max_skipped: int = MISSING


@dataclass
class ProfilerConfig:
    enabled: bool = MISSING
    start: int = MISSING
    steps: int = MISSING


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    batch_size: int = MISSING
    eval_batch_size: int = MISSING
    num_workers: int = MISSING
    gpus: int | None = MISSING
    processes: int = MISSING
    nodes: int = MISSING
    node_rank: int = MISSING
    master: str | None = MISSING
    max_restarts: int = MISSING
    sync_bn: bool = MISSING
    accumulate: int = MISSING
    max_steps: int | None = MISSING
    eval_every: int = MISSING
    save_every: int = MISSING
    save_every_steps: int = MISSING
    keep_checkpoints: int = MISSING
    monitor: str = MISSING
    topk: list[int] = MISSING
    log_every: int = MISSING
    resume: str | None = MISSING
    seed: int = MISSING
    deterministic: bool = MISSING
    compile: bool = MISSING
    same_batch: int | None = MISSING
    profiler: ProfilerConfig = field(default_factory=ProfilerConfig)
    amp: AmpConfig = field(default_factory=AmpConfig)


@dataclass
class LoggerConfig:
    name: str = MISSING  # csv | tensorboard


@dataclass
class RunConfig:
    root: str = MISSING
    name: str = MISSING


@dataclass
class EvalConfig:
    source: str | None = MISSING  # run directory, checkpoint or weights
    split: str = MISSING
    batch_size: int = MISSING
    num_workers: int = MISSING
    topk: list[int] = MISSING
    weights: str = MISSING  # network | ema
    report: bool = MISSING


@dataclass
class PredictConfig:
    source: str | None = MISSING  # run directory, checkpoint, weights or export directory
    input: Any = MISSING  # a path, a pattern, or a list of them
    output: str = MISSING  # classes | features
    topk: int | None = MISSING
    batch_size: int = MISSING
    num_workers: int = MISSING
    engine: str | None = MISSING  # eager | jit | inference | onnxruntime
    threads: int | None = MISSING
    onednn: bool | None = MISSING
    bfloat16: bool = MISSING
    gpu_id: int | None = MISSING
    gpu_mem: int = MISSING  # MB
    tensorrt: str | None = MISSING  # fp32 | fp16 | int8
    resume: bool = MISSING
    weights: str = MISSING  # network | ema


@dataclass
class ExportConfig:
    source: str | None = MISSING  # run directory, checkpoint or weights
    dir: str | None = MISSING  # the job's own directory when left out
    input: str = MISSING  # float | uint8
    output: str | None = MISSING  # logits | probabilities | features
    dynamic_size: bool = MISSING
    format: str = MISSING  # paddle | onnx
    weights: str = MISSING  # network | ema
    fuse: bool = MISSING
    check: bool = MISSING


@dataclass
class ConvertConfig:
    source: str = MISSING
    output: str = MISSING
    weights: str = MISSING  # parameters | averaged
    fuse: bool = MISSING


@dataclass
class BenchmarkConfig:
    what: str = MISSING
    batch_size: int = MISSING
    steps: int = MISSING
    warmup: int = MISSING
    repeats: int = MISSING
    num_workers: int = MISSING
    data: list[str] = MISSING  # synthetic, real
    precisions: list[str] = MISSING  # float32, O1, O2
    amp_dtype: str = MISSING
    data_formats: list[str] = MISSING
    compile: list[bool] = MISSING
    processes: list[int] = MISSING


@dataclass
class PreviewConfig:
    split: str = MISSING
    epoch: int = MISSING
    count: int = MISSING


@dataclass
class VerifyConfig:
    min_size: int = MISSING
    num_workers: int | None = MISSING


@dataclass
class Train:
    """``imgcls.train``"""

    run: RunConfig = field(default_factory=RunConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)


@dataclass
class Eval:
    """``imgcls.eval``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)


@dataclass
class Predict:
    """``imgcls.predict``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)


@dataclass
class Export:
    """``imgcls.export``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


@dataclass
class Convert:
    """``imgcls.convert``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    convert: ConvertConfig = field(default_factory=ConvertConfig)


@dataclass
class Benchmark:
    """``imgcls.benchmark``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)


@dataclass
class Preview:
    """``imgcls.preview``"""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)


@dataclass
class Verify:
    """``imgcls.verify``"""

    data: DataConfig = field(default_factory=DataConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)


SCHEMAS = {
    "train": Train,
    "eval": Eval,
    "predict": Predict,
    "export": Export,
    "convert": Convert,
    "benchmark": Benchmark,
    "preview": Preview,
    "verify": Verify,
}
