"""What people call a key or a choice who come from elsewhere: the original's flags, the words of other libraries."""

from imgcls.app.conf import groups, known_rows
from imgcls.app.keys import SCHEMAS
from imgcls.app.rows import Row, sections

KEYS = {
    "a": "model",
    "aa": "transform.autoaugment",
    "accelerator": "trainer.gpus",
    "accum_iter": "trainer.accumulate",
    "amp": "trainer.amp.level",
    "arch": "model",
    "arch.name": "model",
    "architecture": "model",
    "b": "trainer.batch_size",
    "backbone": "model",
    "base_lr": "optimizer.lr",
    "batch": "trainer.batch_size",
    "bf16": "trainer.amp.level",
    "bit_depth": "transform.depth",
    "bs": "trainer.batch_size",
    "channels": "model.args.in_channels",
    "channels_last": "model.data_format",
    "checkpoint_dir": "run.root",
    "checkpoints": "trainer.resume",
    "ckpt": "trainer.resume",
    "ckpt_path": "trainer.resume",
    "class_names": "data.class_map",
    "class_num": "model.num_classes",
    "classes": "model.num_classes",
    "clip_grad": "optimizer.grad_clip_norm",
    "cls_label_path": "data.train_list",
    "conf": "predict.threshold",
    "confidence": "predict.threshold",
    "config": "experiment",
    "crop_size": "transform.size",
    "data_path": "data.root",
    "dataset": "data.root",
    "device": "trainer.gpus",
    "devices": "trainer.gpus",
    "dir": "data.root",
    "dist_url": "trainer.master",
    "drop_path": "model.args.drop_path",
    "drop_path_rate": "model.args.drop_path",
    "drop_rate": "model.args.dropout",
    "dropout": "model.args.dropout",
    "epoch": "trainer.epochs",
    "eta_min": "lr_schedule.final_lr",
    "eval_interval": "trainer.eval_every",
    "exp_name": "run.name",
    "fp16": "trainer.amp.level",
    "gpu": "trainer.gpus",
    "gpu_ids": "trainer.gpus",
    "grad_accum_steps": "trainer.accumulate",
    "grad_clip": "optimizer.grad_clip_norm",
    "gradient_accumulation_steps": "trainer.accumulate",
    "half": "trainer.amp.level",
    "hflip": "transform.flip",
    "i": "predict.input",
    "image": "predict.input",
    "image_root": "data.root",
    "image_size": "transform.size",
    "images": "predict.input",
    "img_size": "transform.size",
    "imgsz": "transform.size",
    "in_channels": "model.args.in_channels",
    "in_chans": "model.args.in_channels",
    "infer_imgs": "predict.input",
    "init_checkpoint": "model.pretrained",
    "initial_checkpoint": "model.pretrained",
    "input_channels": "model.args.in_channels",
    "input_size": "transform.size",
    "interpolation": "transform.interpolation",
    "j": "trainer.num_workers",
    "learning_rate": "optimizer.lr",
    "log_interval": "trainer.log_every",
    "logging_steps": "trainer.log_every",
    "lr0": "optimizer.lr",
    "lr_scheduler": "lr_schedule",
    "max_epochs": "trainer.epochs",
    "max_grad_norm": "optimizer.grad_clip_norm",
    "mean": "transform.mean",
    "milestones": "lr_schedule.boundaries",
    "min_lr": "lr_schedule.final_lr",
    "mixed_precision": "trainer.amp.level",
    "model_ema": "callbacks.ema.enabled",
    "model_name": "model",
    "momentum": "optimizer.momentum",
    "n_epochs": "trainer.epochs",
    "name": "run.name",
    "nesterov": "optimizer.use_nesterov",
    "net": "model",
    "network": "model",
    "nproc_per_node": "trainer.processes",
    "num_channels": "model.args.in_channels",
    "num_class": "model.num_classes",
    "num_classes": "model.num_classes",
    "num_gpus": "trainer.gpus",
    "num_train_epochs": "trainer.epochs",
    "opt": "optimizer",
    "output": "run.root",
    "output_dir": "run.root",
    "per_device_eval_batch_size": "trainer.eval_batch_size",
    "per_device_train_batch_size": "trainer.batch_size",
    "precision": "trainer.amp.level",
    "print_freq": "trainer.log_every",
    "rank": "trainer.node_rank",
    "reprob": "callbacks.random_erasing.probability",
    "resume_from": "trainer.resume",
    "resume_from_checkpoint": "trainer.resume",
    "root": "data.root",
    "save_dir": "run.root",
    "save_freq": "trainer.save_every",
    "save_interval": "trainer.save_every",
    "sched": "lr_schedule",
    "scheduler": "lr_schedule",
    "score_threshold": "predict.threshold",
    "size": "transform.size",
    "smoothing": "callbacks.label_smoothing.epsilon",
    "std": "transform.std",
    "step_size": "lr_schedule.boundaries",
    "syncbn": "trainer.sync_bn",
    "top_k": "predict.topk",
    "torchcompile": "trainer.compile",
    "train_batch_size": "trainer.batch_size",
    "train_csv": "data.train_list",
    "train_dir": "data.root",
    "train_file": "data.train_list",
    "val_batch_size": "trainer.eval_batch_size",
    "val_csv": "data.val_list",
    "val_dir": "data.root",
    "val_file": "data.val_list",
    "val_ratio": "data.val_share",
    "val_split": "data.val_share",
    "validation_split": "data.val_share",
    "warmup": "lr_schedule.warmup_epochs",
    "warmup_steps": "lr_schedule.warmup_epochs",
    "wd": "optimizer.weight_decay",
    "workers": "trainer.num_workers",
    "world_size": "trainer.processes",
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

OF_A_SOURCE = (
    *("checkpoint", "checkpoints", "ckpt", "ckpt_path", "from", "init_checkpoint", "initial_checkpoint", "load_from"),
    *("model_dir", "model_file", "model_path", "pretrained_model", "resume", "run", "weights"),
)
"""What people call the trained network of a program that uses one."""

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
        "cos": "cosine",
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
    "optimizer": {"adamw_torch": "adamw", "nesterov": "momentum", "sgd": "momentum", "sgdm": "momentum"},
}
"""Other words for the choices of a group."""

VALUES = {
    "data.backend": {"true": "dali"},
    "model.data_format": {"true": "NHWC"},
    "trainer.amp.level": {
        **dict.fromkeys(("fp16", "bf16", "half", "mixed", "16", "16-mixed", "on", "true", "o1", "..."), "O1"),
        **{"false": "O0", "fp32": "O0", "32": "O0", "no": "O0", "o0": "O0", "o2": "O2"},
    },
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


def meant(word: str, program: str, value: str = "") -> list[str]:
    """The keys and groups of a program that somebody may mean by a word, at most three; none if nobody does.

    Args:
        value: that is given with it; a key with choices is not meant by any other.
    """
    word = word.lower().replace("-", "_")
    known, choices = known_rows(program), groups(program)
    if word in known or word in choices:
        return [word]
    last = word if word in KEYS else word.rpartition(".")[2]
    if last in choices:
        return [last]
    own = [key for key in (f"{program}.{last}", f"trainer.{last}") if key in known and _may_be(known[key], value)]
    if not own and last in OF_A_SOURCE and f"{program}.source" in known:
        return [f"{program}.source"]
    foreign = KEYS.get(last) or OLD_FLAGS.get(last)
    if not own and foreign and (foreign in known or foreign in choices or foreign.startswith("model.args.")):
        return [foreign]
    switches = [f"{name}.enabled" for name in sections(SCHEMAS[program]) if name.rpartition(".")[2] == last]
    same = [key for key in known if key.rpartition(".")[2] == last]
    return (own or [key for key in switches if key in known] or same)[:3]


def _may_be(row: Row, value: str) -> bool:
    choices = {choice for rule in row.rules for choice in rule.choices}
    return not (value and choices) or value in choices
