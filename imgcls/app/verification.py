"""What ``imgcls.verify`` looks at, as it is, and the command that trains on it."""

import re
from dataclasses import dataclass, field

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imgcls.app.data import columns_of, store_of
from imgcls.app.next_steps import python_command
from imgcls.data.checking.verification import WRONG_LINE, Problem
from imgcls.data.choices import SPLITS
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.samples import Samples
from imgcls.machine.text import shell_line

QUOTED = re.compile(r"='([^'\"\\]*)'\Z")
"""A value in Hydra's single quotes; double ones are readable inside those of the shell."""

PLAIN = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class SplitsAsTheyAre:
    """The samples of each split, wrong lines of their lists, and what was left out of their directories."""

    samples: dict[str, Samples] = field(default_factory=dict)
    wrong_lines: list[Problem] = field(default_factory=list)
    left_out: dict[str, LeftOut] = field(default_factory=dict)


def read_splits(data: DictConfig) -> SplitsAsTheyAre:
    """Both splits, or training alone where no share is for validation.

    What is wrong with lines and classes is noted; files are not looked for.
    """
    found = SplitsAsTheyAre()
    for split in SPLITS if data.val_share != 0 else SPLITS[:1]:
        shared = bool(data.val_share or data.folds) and split == "val"  # lines and files that were noted for training
        listed = data["train_list" if shared or data.split_column else f"{split}_list"]

        def note(line: int, fault: str, split: str = split, listed: str = listed, shared: bool = shared) -> None:
            if not shared:
                found.wrong_lines.append(Problem(WRONG_LINE, split, listed, None, f"line {line}: {fault}"))

        class_names = found.samples["train"].class_names if found.samples else None
        left_out = LeftOut()
        found.samples[split] = build_samples(
            data.format,
            root=data.root,
            train_list=data.train_list,
            val_list=data.val_list,
            class_map=data.class_map if class_names is None else None,
            num_classes=data.num_classes,
            split=split,
            class_names=class_names,
            check_files="none",
            allow_empty_classes=True,
            on_wrong_line=note,
            left_out=left_out,
            val_share=data.val_share,
            val_seed=data.val_seed,
            multi_label=data.multi_label,
            num_classes_key="data.num_classes",
            columns=columns_of(data),
            folds=data.folds,
            fold=None if data.folds is None else data.fold or 0,
            store=store_of(data),
        )
        if left_out and not shared:
            found.left_out[split] = left_out
    return found


def training_command(data: DictConfig, skip: bool) -> str:
    """The command that trains on this data, as this job's command names it.

    Args:
        skip: go on past files that cannot be read.
    """
    given = HydraConfig.get().overrides.task
    given = [
        QUOTED.sub(lambda match: f"={match[1]}" if PLAIN.fullmatch(match[1]) else f'="{match[1]}"', word)
        for word in given
    ]
    words = [word for word in given if word.lstrip("+~").startswith(("data=", "data.", "imports="))]
    words += ["data.on_error=skip"] * (skip and data.on_error != "skip")
    words += ["trainer.eval_every=0"] * (data.val_share == 0)
    return shell_line([python_command(), "-m", "imgcls.train", *words])
