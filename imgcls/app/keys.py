"""One row a key: its type, what its value must be, and what may become of it later; the values live in ``conf/``.

Composed configurations are merged into these classes, so that a wrong type is refused before any
data is read. A group whose choices have different keys lists the union of them. What several keys
must be together is in ``combinations``; docs/adding_an_option.md shows how a row is added.
"""

# ruff: noqa: RUF009  what ``key`` and ``section`` return are dataclass fields

from dataclasses import dataclass
from typing import Any

from imgcls.app.loggers import LOGGERS
from imgcls.app.rows import (
    ABOVE_ZERO,
    BELOW_ONE,
    BOUNDS,
    CLASS_WEIGHTS,
    COLOUR,
    DEPTH,
    JITTER,
    NOT_EMPTY,
    PART,
    PIXELS,
    POSITIVE,
    SHARES,
    SIZE,
    SPREAD,
    at_least,
    at_most,
    auto_or,
    between,
    false_or,
    key,
    one_of,
    section,
    switch_or,
)
from imgcls.data.choices import (
    AUTOAUGMENT_POLICIES,
    FILE_CHECKS,
    FITS,
    INTERPOLATIONS,
    RESAMPLINGS,
    SPLITS,
    TEST_TIME_AUGMENTATIONS,
)
from imgcls.deploy.choices import (
    ENGINE_MODES,
    ENGINE_NAMES,
    FASTEST,
    GRAPHS,
    LAYOUTS,
    OUTPUTS,
    QUANTIZED,
    TENSORRT_PRECISIONS,
)
from imgcls.functional.monitoring import MODES
from imgcls.functional.schedules import SCHEDULES
from imgcls.machine.limits import ARGUMENT, IMAGE_SIDE
from imgcls.models.choices import DATA_FORMATS
from imgcls.weights.choices import KINDS, NAMES

HALF_PRECISION = one_of("float16", "bfloat16")
SOFTMAX_LOSSES, TAG_LOSSES = ("cross_entropy", "focal"), ("bce", "asymmetric")
SPLIT = one_of(*SPLITS)
AT_ONCE = at_most(1024)  # processes or threads of one job: a machine comes to a stand with some 10,000
CLASSES = at_most(ARGUMENT)
SIDE, SOME_DAYS = at_most(IMAGE_SIDE), at_most(2_000_000)  # pixels, and seconds, of which the system counts no more
WEIGHTS = one_of(*KINDS)


@dataclass
class ModelConfig:
    name: str = key()
    num_classes: int | None = key(at_least(1), CLASSES, default=None)  # from the data when left out
    pretrained: Any = key(default=None, free=True, path=True, switch=True)  # true, or a path
    pretrained_from: str | None = key(default=None, free=True)  # whose, where the file does not tell
    exclude: list[str] = key(default=[], free=True)  # patterns of tensors not to load
    freeze: list[str] = key(default=[])  # patterns of tensors not to train
    freeze_batch_norms: bool = key(default=False, unrecorded=False)  # nor their statistics to follow the pictures
    data_format: str = key(one_of(*DATA_FORMATS), default="NCHW")
    input_size: int = key(at_least(1))
    resize_size: int = key()
    interpolation: str = key()
    mean: list[float] = key()
    std: list[float] = key()
    args: dict[str, Any] = key(default={})  # arguments of the family's network class


@dataclass
class DataConfig:
    name: str = key()
    format: str = key()
    backend: str = key(one_of("pillow", "dali"))
    root: str | None = key(free=True, path=True)
    train_list: str | None = key(free=True, path=True)  # what they hold may not change, see ``require_same_samples``
    val_list: str | None = key(free=True, path=True)
    val_share: float | None = key(PART)
    val_seed: int = key(at_least(0), unrecorded=0)
    folds: int | None = key(at_least(2), later=True)
    fold: int | None = key(at_least(0), later=True)
    multi_label: bool = key(unrecorded=False)
    sampler: str = key(one_of("shuffle", "balanced"), unrecorded="shuffle")
    class_map: str | None = key(free=True, path=True)
    image_column: str | None = key(free=True, later=True)  # as of the lists, what they lead to may not change
    label_column: str | None = key(free=True, later=True)
    split_column: str | None = key(free=True, later=True)
    num_classes: int | None = key(at_least(1), CLASSES)
    train_size: int | None = key(at_least(1))
    val_size: int | None = key(at_least(1))
    check_files: str = key(one_of(*FILE_CHECKS), free=True)
    allow_empty_classes: bool = key(free=True)
    max_pixels: int = key(at_least(1))  # with on_error=skip, which images are left out
    max_decode_seconds: float = key(at_least(0.1), SOME_DAYS, free=True, of_the_job=True, unrecorded=30.0)
    worker_timeout: int = key(at_least(1), SOME_DAYS, free=True, of_the_job=True)
    remote_timeout: float = key(at_least(0.1), SOME_DAYS, free=True, of_the_job=True, unrecorded=20.0)
    remote_retries: int = key(at_least(0), free=True, of_the_job=True, unrecorded=4)
    remote_cache_gb: float = key(at_least(0), free=True, of_the_job=True, unrecorded=10.0)
    on_error: str = key(one_of("fail", "skip"), free=True, of_the_job=True)
    max_errors: int = key(at_least(0), free=True, of_the_job=True)
    cache: str | None = key(one_of("ram"), of_the_job=True)  # its JPEGs are shrunk less than a single crop's
    cache_mb: int = key(at_least(1), of_the_job=True)
    _target_: str = key()  # of data=own: the class, and its arguments
    args: dict[str, Any] = key()


@dataclass
class RandAugmentConfig:
    num_layers: int = key(at_least(0))
    magnitude: float = key(between(0, 10))


@dataclass
class TransformConfig:
    size: Any = key(SIZE, PIXELS, SIDE)
    fit: str = key(one_of(*FITS), unrecorded="crop")
    resize_size: int | None = key(at_least(1), SIDE)
    interpolation: str = key(one_of(*INTERPOLATIONS))
    resampling: str | None = key(one_of(*RESAMPLINGS), unrecorded="pillow")  # that of the weights when left out
    mean: list[float] = key(COLOUR)
    std: list[float] = key(COLOUR, SPREAD)
    depth: int | None = key(DEPTH, later=True)  # of images, not of files: what it leaves open follows the channels
    rotation: int = key(between(0, 180))
    scale: list[float] = key(BOUNDS)
    ratio: list[float] = key(BOUNDS)
    color_jitter: list[float] = key(JITTER)
    flip: float = key(between(0, 1))
    extra: list[dict[str, Any]] = key(unrecorded=[])  # steps of the user's own
    autoaugment: bool | str = key(false_or(*AUTOAUGMENT_POLICIES))
    randaugment: RandAugmentConfig = section(RandAugmentConfig)


@dataclass
class OptimizerConfig:
    name: str = key()
    lr: float = key(at_least(0))
    momentum: float = key(between(0, 1))
    use_nesterov: bool = key()
    rho: float = key(BELOW_ONE)
    beta1: float = key(BELOW_ONE)
    beta2: float = key(BELOW_ONE)
    epsilon: float = key(at_least(0))
    weight_decay: float = key(at_least(0))
    no_decay_on_norm_and_bias: bool = key()
    head_lr_multiplier: float = key(at_least(0))
    layer_decay: float = key(between(0, 1), unrecorded=1.0)
    grad_clip_norm: float | None = key(at_least(0))
    scale_lr: bool = key()
    base_batch_size: int = key(at_least(1))
    _target_: str = key()  # of optimizer=own: the class, and its arguments
    args: dict[str, Any] = key()


@dataclass
class ScheduleConfig:
    name: str = key(one_of(*SCHEDULES, "own"))
    warmup_epochs: float = key(at_least(0))
    warmup_start_lr: float = key(at_least(0))
    warmup_whole_epochs: bool = key()
    boundaries: list[float] = key(at_least(0))
    decay_epochs: float | None = key(ABOVE_ZERO)
    decay_rate: float = key(at_least(0))
    final_lr: float = key(at_least(0))
    patience: int = key(at_least(1))
    cooldown: int = key(at_least(0))
    min_delta: float = key(at_least(0))
    power: float = key(at_least(0))
    _target_: str = key()  # of lr_schedule=own: the function, and its arguments
    args: dict[str, Any] = key()


@dataclass
class LossConfig:
    name: str = key(one_of(*SOFTMAX_LOSSES, *TAG_LOSSES, "own"), unrecorded="cross_entropy")
    class_weights: Any = key(CLASS_WEIGHTS, later=True)
    logit_adjustment: float = key(at_least(0), unrecorded=0.0)
    gamma: float = key(at_least(0), later=True)
    gamma_negative: float = key(at_least(0), later=True)
    gamma_positive: float = key(at_least(0), later=True)
    margin: float = key(between(0, 1), later=True)
    _target_: str = key()  # of loss=own: the function, and its arguments
    args: dict[str, Any] = key()


@dataclass
class DistillConfig:
    teacher: str | None = key(path=True, later=True)  # a run, a checkpoint or a model's name
    temperature: float = key(at_least(0.01), unrecorded=4.0)
    alpha: float = key(between(0, 1), unrecorded=0.5)
    features: float = key(at_least(0), unrecorded=0.0)
    photos: str | None = key(path=True, later=True)


@dataclass
class RandomErasingConfig:
    enabled: bool = key()
    probability: float = key(between(0, 1))
    area: list[float] = key(BOUNDS, SHARES)
    ratio: list[float] = key(BOUNDS)
    fill: str = key(one_of("noise", "mean"))


@dataclass
class CutMixConfig:
    enabled: bool = key()
    alpha: float = key(at_least(0))
    switch_prob: float = key(between(0, 1))
    stop_epoch: int | None = key(at_least(1))


@dataclass
class MixupConfig:
    enabled: bool = key()
    alpha: float = key(at_least(0))
    stop_epoch: int | None = key(at_least(1))


@dataclass
class LabelSmoothingConfig:
    enabled: bool = key()
    epsilon: float = key(between(0, 1))


@dataclass
class EMAConfig:
    enabled: bool = key()
    decay: float = key(between(0, 1))


@dataclass
class EarlyStoppingConfig:
    enabled: bool = key(free=True, unrecorded=False)
    patience: int = key(at_least(1), free=True, unrecorded=10)
    min_delta: float = key(at_least(0), free=True, unrecorded=0.0)


@dataclass
class PruningConfig:
    enabled: bool = key(free=True, unrecorded=False)
    min_jobs: int = key(at_least(1), free=True, unrecorded=4)
    warmup_epochs: int = key(at_least(0), free=True, unrecorded=1)
    keep: float = key(between(0, 1), free=True, unrecorded=0.5)


@dataclass
class NanGuardConfig:
    enabled: bool = key(free=True)


@dataclass
class CallbacksConfig:
    random_erasing: RandomErasingConfig = section(RandomErasingConfig)
    cutmix: CutMixConfig = section(CutMixConfig)
    mixup: MixupConfig = section(MixupConfig)
    label_smoothing: LabelSmoothingConfig = section(LabelSmoothingConfig)
    ema: EMAConfig = section(EMAConfig)
    early_stopping: EarlyStoppingConfig = section(EarlyStoppingConfig)
    pruning: PruningConfig = section(PruningConfig)
    nan_guard: NanGuardConfig = section(NanGuardConfig)
    extra: list[dict[str, Any]] = key(free=True)


@dataclass
class ProbeConfig:
    enabled: bool = key(unrecorded=False)
    epochs: int | None = key(at_least(1))
    views: int = key(at_least(0), unrecorded=0)
    lr: float | None = key(at_least(0))
    from_classes: bool = key(unrecorded=False)


@dataclass
class AmpConfig:
    level: str = key(one_of("O0", "O1", "O2"))
    dtype: str = key(HALF_PRECISION)
    scale_loss: float = key(at_least(1))
    dynamic: bool = key()
    min_scale: float = key(at_least(0))
    max_skipped: int = key(at_least(1), free=True)


@dataclass
class ProfilerConfig:
    enabled: bool = key(free=True)
    start: int = key(at_least(0), free=True)
    steps: int = key(at_least(1), free=True)


@dataclass
class TrainerConfig:
    epochs: int = key(at_least(1), free=True)
    batch_size: int = key(at_least(1))
    eval_batch_size: int = key(at_least(1), free=True)
    num_workers: int = key(at_least(0), AT_ONCE, free=True)
    gpus: int | None = key(at_least(0), free=True, note="It says how many (CPU: 0); CUDA_VISIBLE_DEVICES says which.")
    processes: int | str = key(*auto_or(at_least(1)), AT_ONCE, free=True)
    nodes: int = key(at_least(1), free=True, fingerprint=False)
    node_rank: int = key(at_least(0), free=True, fingerprint=False)
    master: str | None = key(free=True, fingerprint=False)
    max_restarts: int = key(at_least(0), free=True)
    rank_timeout: float = key(at_least(1), SOME_DAYS, free=True, unrecorded=600.0)
    sync_bn: bool = key()
    accumulate: int = key(at_least(1))
    max_steps: int | None = key(at_least(1), free=True)
    eval_every: int = key(at_least(0), free=True)
    save_every: int = key(at_least(1), free=True)
    save_every_steps: int = key(at_least(0), free=True)
    keep_checkpoints: int = key(at_least(1), free=True)
    monitor: str = key(free=True)
    monitor_mode: str = key(one_of(*MODES), free=True, unrecorded="auto")
    topk: list[int] = key(POSITIVE, free=True)
    metrics: list[str] = key(free=True, unrecorded=[])  # beside loss and top-k
    log_every: int = key(at_least(1), free=True)
    resume: str | None = key(free=True, path=True)
    seed: int = key(at_least(0))
    deterministic: bool = key()
    compile: bool | str = key(switch_or("onednn", "auto"))
    same_batch: int | None = key(at_least(1))
    profiler: ProfilerConfig = section(ProfilerConfig)
    amp: AmpConfig = section(AmpConfig)


@dataclass
class LoggerConfig:
    name: str = key(one_of("csv", *LOGGERS), free=True)
    project: str = key(free=True)


@dataclass
class RunConfig:
    root: str = key(free=True, fingerprint=False, path=True)
    name: str = key(free=True, fingerprint=False)
    lock: bool = key(free=True, fingerprint=False)


@dataclass
class EvalConfig:
    source: str | None = key(path=True)  # run directory, checkpoint, weights or export directory
    engine: str | None = key(one_of(*ENGINE_NAMES, FASTEST))
    split: str = key(SPLIT)
    batch_size: int = key(at_least(1))
    num_workers: int = key(at_least(0), AT_ONCE)
    topk: list[int] = key(POSITIVE)
    weights: str = key(WEIGHTS)
    knn: int | None = key(at_least(1))
    tta: str | None = key(one_of(*TEST_TIME_AUGMENTATIONS))
    tune: bool = key()
    report: bool = key()
    attach: bool = key()


@dataclass
class PredictConfig:
    source: str | None = key(path=True)  # run directory, checkpoint, weights or export directory
    input: Any = key(path=True, several=True)  # a path, a pattern, or a list of them
    output: str = key(one_of("classes", "features"))
    format: str = key(one_of("jsonl", "csv"))
    topk: int | None = key(at_least(1))
    threshold: float | None = key(between(0, 1))
    tta: str | None = key(one_of(*TEST_TIME_AUGMENTATIONS))
    sort_to: str | None = key(path=True)  # a directory
    sort_by: str = key(one_of("copy", "link"))
    batch_size: int = key(at_least(1))
    num_workers: int = key(at_least(0), AT_ONCE)
    engine: str | None = key(one_of("eager", *ENGINE_NAMES, FASTEST))
    mode: str | None = key(one_of(*ENGINE_MODES))
    model_cache: bool = key()
    threads: int | None = key(at_least(1), AT_ONCE)
    onednn: bool | None = key()
    bfloat16: bool = key()
    gpu_id: int | None = key(at_least(0))
    gpu_mem: int = key(at_least(1))  # MB
    tensorrt: str | None = key(one_of(*TENSORRT_PRECISIONS))
    resume: bool = key()
    weights: str = key(WEIGHTS)


@dataclass
class ExportConfig:
    source: str | None = key(path=True)  # run directory, checkpoint or weights
    dir: str | None = key(path=True)  # the job's own directory when left out
    input: str = key(one_of(*LAYOUTS))
    output: str | None = key(one_of(*OUTPUTS))
    dynamic_size: bool = key()
    format: str = key(one_of(*GRAPHS))
    quantize: str | None = key(one_of(*QUANTIZED))
    max_drop: float = key(between(0, 1))
    calibration: int = key(at_least(1))
    num_workers: int = key(at_least(0), AT_ONCE)
    weights: str = key(WEIGHTS)
    fuse: bool = key()
    check: bool = key()


@dataclass
class ConvertConfig:
    source: str = key(path=True)
    output: str = key(path=True)
    weights: str = key(one_of("parameters", "averaged"))
    fuse: bool = key()
    names: str | None = key(one_of(*NAMES))


@dataclass
class BenchmarkConfig:
    what: str = key(one_of("train", "trainer", "model", "inference", "latency", "auto", "predict", "loader"))
    batch_size: int = key(at_least(1))
    steps: int = key(at_least(1))
    warmup: int = key(at_least(0))
    repeats: int = key(at_least(1))
    num_workers: int = key(at_least(0), AT_ONCE)
    data: list[str] = key(one_of("synthetic", "real"), NOT_EMPTY)
    precisions: list[str] = key(one_of("float32", "O1", "O2"), NOT_EMPTY)
    amp_dtype: str = key(HALF_PRECISION)
    data_formats: list[str] = key(one_of(*DATA_FORMATS), NOT_EMPTY)
    compile: list[bool] = key(NOT_EMPTY)
    processes: list[int] = key(at_least(1), AT_ONCE, NOT_EMPTY)
    torch_python: str | None = key(path=True)  # an interpreter
    networks: list[str] = key(NOT_EMPTY)
    batch_sizes: list[int] = key(at_least(1), NOT_EMPTY)
    image_size: int | None = key(at_least(1))
    ways: list[str] = key(one_of("eager", "compiled", "onednn", "auto"), NOT_EMPTY)
    peers: list[str] = key(one_of("torchvision", "timm"), NOT_EMPTY)
    torch_layouts: list[str] = key(one_of(*DATA_FORMATS), NOT_EMPTY)
    turn_seconds: float = key(at_least(0))


@dataclass
class PreviewConfig:
    split: str = key(SPLIT)
    epoch: int = key(at_least(1))
    count: int = key(at_least(1))


@dataclass
class VerifyConfig:
    min_size: int = key(at_least(0))
    similar: bool = key()
    num_workers: int | None = key(at_least(0), AT_ONCE)


@dataclass
class LRFindConfig:
    start_lr: float = key(at_least(1e-12))
    end_lr: float = key(at_least(1e-12))
    steps: int = key(at_least(10))
    stop_factor: float = key(at_least(1))


@dataclass
class SearchConfig:
    what: str = key(one_of("build", "query"))
    source: str = key(path=True)  # what predict.output=features wrote; for query, what build wrote
    input: Any = key(path=True, several=True)  # of query: a path, a pattern, or a list of them
    topk: int = key(at_least(1))
    duplicate: float = key(between(0, 1))
    outlier: float = key(at_least(0))
    shown: int = key(at_least(1))
    engine: str | None = key(one_of("faiss", "numpy"))


@dataclass
class CompareConfig:
    runs: list[str] = key(NOT_EMPTY)  # directories of runs or sweeps


@dataclass
class Program:
    imports: list[str] = key(free=True, fingerprint=False)  # modules of the user's, see ``modules.import_modules``


@dataclass
class Train(Program):
    """``imgcls.train``"""

    run: RunConfig = section(RunConfig)
    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    transform: TransformConfig = section(TransformConfig)
    optimizer: OptimizerConfig = section(OptimizerConfig)
    lr_schedule: ScheduleConfig = section(ScheduleConfig)
    loss: LossConfig = section(LossConfig)
    distill: DistillConfig = section(DistillConfig)
    callbacks: CallbacksConfig = section(CallbacksConfig)
    probe: ProbeConfig = section(ProbeConfig)
    trainer: TrainerConfig = section(TrainerConfig)
    logger: LoggerConfig = section(LoggerConfig)


@dataclass
class LRFind(Train):
    """``imgcls.lr_find``"""

    lr_find: LRFindConfig = section(LRFindConfig)


@dataclass
class Eval(Program):
    """``imgcls.eval``"""

    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    transform: TransformConfig = section(TransformConfig)
    eval: EvalConfig = section(EvalConfig)


@dataclass
class Predict(Program):
    """``imgcls.predict``"""

    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    transform: TransformConfig = section(TransformConfig)
    predict: PredictConfig = section(PredictConfig)


@dataclass
class Export(Program):
    """``imgcls.export``"""

    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    transform: TransformConfig = section(TransformConfig)
    export: ExportConfig = section(ExportConfig)


@dataclass
class Convert(Program):
    """``imgcls.convert``"""

    model: ModelConfig = section(ModelConfig)
    convert: ConvertConfig = section(ConvertConfig)


@dataclass
class Benchmark(Program):
    """``imgcls.benchmark``"""

    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    benchmark: BenchmarkConfig = section(BenchmarkConfig)


@dataclass
class Preview(Program):
    """``imgcls.preview``"""

    model: ModelConfig = section(ModelConfig)
    data: DataConfig = section(DataConfig)
    transform: TransformConfig = section(TransformConfig)
    callbacks: CallbacksConfig = section(CallbacksConfig)
    trainer: TrainerConfig = section(TrainerConfig)
    preview: PreviewConfig = section(PreviewConfig)


@dataclass
class Verify(Program):
    """``imgcls.verify``"""

    data: DataConfig = section(DataConfig)
    verify: VerifyConfig = section(VerifyConfig)


@dataclass
class Search(Program):
    """``imgcls.search``"""

    data: DataConfig = section(DataConfig)
    search: SearchConfig = section(SearchConfig)


@dataclass
class Compare(Program):
    """``imgcls.compare``"""

    compare: CompareConfig = section(CompareConfig)


SCHEMAS = {
    "train": Train,
    "eval": Eval,
    "predict": Predict,
    "export": Export,
    "convert": Convert,
    "benchmark": Benchmark,
    "preview": Preview,
    "verify": Verify,
    "compare": Compare,
    "search": Search,
    "lr_find": LRFind,
}
