"""What people call a key or a choice who come from elsewhere: the original's flags, the words of other libraries."""

from imgcls.app.conf import groups, known_rows
from imgcls.app.keys import SCHEMAS
from imgcls.app.rows import sections

KEYS = {
    "amp": "trainer.amp.level",
    "arch": "model",
    "backbone": "model",
    "batch": "trainer.batch_size",
    "bs": "trainer.batch_size",
    "checkpoint_dir": "run.root",
    "classes": "model.num_classes",
    "config": "experiment",
    "crop_size": "transform.size",
    "data_path": "data.root",
    "dataset": "data.root",
    "device": "trainer.gpus",
    "devices": "trainer.gpus",
    "dir": "data.root",
    "dropout": "model.args.dropout",
    "epoch": "trainer.epochs",
    "exp_name": "run.name",
    "gpu": "trainer.gpus",
    "image": "predict.input",
    "image_size": "transform.size",
    "images": "predict.input",
    "img_size": "transform.size",
    "imgsz": "transform.size",
    "infer_imgs": "predict.input",
    "interpolation": "transform.interpolation",
    "learning_rate": "optimizer.lr",
    "lr_scheduler": "lr_schedule",
    "max_epochs": "trainer.epochs",
    "mean": "transform.mean",
    "momentum": "optimizer.momentum",
    "n_epochs": "trainer.epochs",
    "name": "run.name",
    "net": "model",
    "network": "model",
    "num_class": "model.num_classes",
    "num_classes": "model.num_classes",
    "opt": "optimizer",
    "output": "run.root",
    "output_dir": "run.root",
    "root": "data.root",
    "save_dir": "run.root",
    "sched": "lr_schedule",
    "scheduler": "lr_schedule",
    "size": "transform.size",
    "std": "transform.std",
    "train_dir": "data.root",
    "val_dir": "data.root",
    "warmup": "lr_schedule.warmup_epochs",
    "wd": "optimizer.weight_decay",
    "workers": "trainer.num_workers",
}
"""Other words for keys and groups, those of training where several programs have one."""

OLD_FLAGS = {
    "checkpoint": "trainer.resume",
    "class_dim": "model.num_classes",
    "class_map_path": "data.class_map",
    "cleaned_model_dir": "convert.output",
    "data_dir": "data.root",
    "data_format": "model.data_format",
    "decay_epochs": "lr_schedule.decay_epochs",
    "decay_rate": "lr_schedule.decay_rate",
    "deploy": "model.args.deploy",
    "drop_connect_rate": "model.args.drop_connect_rate",
    "ema_decay": "callbacks.ema.decay",
    "ema_model_dir": "convert.source",
    "enable_ce": "trainer.deterministic",
    "finetune_exclude_pretrained_params": "model.exclude",
    "gpu_id": "predict.gpu_id",
    "gpu_mem": "predict.gpu_mem",
    "image_mean": "transform.mean",
    "image_path": "predict.input",
    "image_shape": "transform.size",
    "image_std": "transform.std",
    "is_profiler": "trainer.profiler.enabled",
    "l2_decay": "optimizer.weight_decay",
    "label_smoothing_epsilon": "callbacks.label_smoothing.epsilon",
    "lower_ratio": "transform.ratio",
    "lower_scale": "transform.scale",
    "lr": "optimizer.lr",
    "lr_strategy": "lr_schedule",
    "max_iter": "trainer.max_steps",
    "mixup_alpha": "callbacks.mixup.alpha",
    "model": "model",
    "model_file": "predict.source",
    "model_save_dir": "run.root",
    "momentum_rate": "optimizer.momentum",
    "num_epochs": "trainer.epochs",
    "padding_type": "model.args.padding_type",
    "params_file": "predict.source",
    "pretrained_model": "model.pretrained",
    "print_step": "trainer.log_every",
    "random_seed": "trainer.seed",
    "reader_thread": "trainer.num_workers",
    "resize_short_size": "transform.resize_size",
    "same_feed": "trainer.same_batch",
    "save_inference": "predict.output",
    "save_step": "trainer.save_every",
    "scale_loss": "trainer.amp.scale_loss",
    "step_epochs": "lr_schedule.boundaries",
    "test_batch_size": "trainer.eval_batch_size",
    "upper_ratio": "transform.ratio",
    "use_aa": "transform.autoaugment",
    "use_dali": "data.backend",
    "use_dynamic_loss_scaling": "trainer.amp.dynamic",
    "use_ema": "callbacks.ema.enabled",
    "use_fp16": "trainer.amp.level",
    "use_gpu": "trainer.gpus",
    "use_label_smoothing": "callbacks.label_smoothing.enabled",
    "use_mixup": "callbacks.mixup.enabled",
    "use_se": "model.args.use_se",
    "validate": "trainer.eval_every",
    "warm_up_epochs": "lr_schedule.warmup_epochs",
}
"""The key that stands for a flag of the original; docs/original_flags.md says what is different about it."""

GONE_FLAGS = {
    "fuse_bn_act_ops": "it was an option of the static graph",
    "fuse_elewise_add_act_ops": "it was an option of the static graph",
    "profiler_path": "the profile is in the run's directory",
    "reader_buf_size": "how many batches wait follows from the number of workers",
    "save_json_path": "the answers are in the run's directory",
    "total_images": "the pictures are counted",
}

CHOICES = {
    "data": {
        "csv": "list",
        "imagefolder": "folder",
        "imagenet": "list",
        "images": "folder",
        "txt": "list",
        "parquet": "huggingface",
        "hf": "huggingface",
        "arrow": "huggingface",
        "wds": "webdataset",
        "table": "list",
        "tsv": "list",
    },
    "debug": {"on": "fast", "true": "fast", "yes": "fast", "1": "fast"},
    "logger": {"tb": "tensorboard", "vdl": "visualdl", "wb": "wandb", "weights_and_biases": "wandb"},
    "loss": {"ce": "cross_entropy", "celoss": "cross_entropy", "crossentropy": "cross_entropy"},
    "lr_schedule": {
        "const": "constant",
        "cosine_annealing": "cosine",
        "cosine_decay": "cosine",
        "cosine_decay_warmup": "cosine_step",
        "cosineannealinglr": "cosine",
        "exp": "exponential",
        "exponential_decay_warmup": "exponential",
        "fixed": "constant",
        "linear_decay": "linear",
        "multistep": "piecewise",
        "multisteplr": "piecewise",
        "piecewise_decay": "piecewise",
        "poly": "polynomial",
        "reduce_on_plateau": "plateau",
        "reducelronplateau": "plateau",
        "step": "piecewise",
        "steplr": "piecewise",
    },
    "optimizer": {"nesterov": "momentum", "sgd": "momentum"},
}
"""Other words for the choices of a group."""

VALUES = {
    "data.backend": {"true": "dali"},
    "trainer.amp.level": {"false": "O0", "fp16": "O1", "on": "O1", "true": "O1"},
    "trainer.gpus": {"cpu": "0", "cuda": "1", "false": "0", "gpu": "1", "true": "1"},
    "trainer.resume": {"true": "auto"},
    "transform.autoaugment": {"true": "imagenet"},
}
"""Other words for the values of a key, where another library has another kind of key."""

CHOICE_NOTES = {
    "optimizer=sgd": "With optimizer.momentum=0 it is plain SGD.",
    "optimizer=nesterov": "Add optimizer.use_nesterov=true.",
    "transform=none": "Without augmentation: transform.scale=[1.0,1.0] transform.ratio=[1.0,1.0] transform.flip=0.",
}


def spelled(key: str, value: object) -> str:
    """``key=value`` for a message, with the value as it is called here."""
    here = {**CHOICES, **VALUES}.get(key, {})
    return f"{key}={here.get(str(value).lower(), value)}"


def meant(word: str, program: str) -> list[str]:
    """The keys and groups of a program that somebody may mean by a word, at most three; none if nobody does."""
    word = word.lower().replace("-", "_")
    known, choices = known_rows(program), groups(program)
    if word in known or word in choices:
        return [word]
    last = word.rpartition(".")[2]
    if last in choices:
        return [last]
    own = [key for key in (f"{program}.{last}", f"trainer.{last}") if key in known]
    foreign = KEYS.get(last) or OLD_FLAGS.get(last)
    if not own and foreign and (foreign in known or foreign in choices or foreign.startswith("model.args.")):
        return [foreign]
    switches = [f"{name}.enabled" for name in sections(SCHEMAS[program]) if name.rpartition(".")[2] == last]
    same = [key for key in known if key.rpartition(".")[2] == last]
    return (own or [key for key in switches if key in known] or same)[:3]
