"""The words of a command: flags of Hydra, overrides, and words without a key."""

import os
import re
from dataclasses import dataclass, field

from imgcls.app.conf import groups, known_rows
from imgcls.app.quoting import quoted, unquoted
from imgcls.app.spellings import GONE_FLAGS, OLD_FLAGS, meant, spelled
from imgcls.data.formats.csv_rows import TABLES
from imgcls.errors import UserError, close_matches
from imgcls.models.registry import list_models

OVERRIDE = re.compile(r"(~|\+{0,2})[^\W\d][\w$.@:/-]*=.*|~[^\W\d][\w$.@:-]*", re.DOTALL)
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--experimental-rerun")
OF_ANOTHER_CONFIGURATION = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
SWITCHES = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--shell-completion", "-sc")
SWEEP = ("--multirun", "-m")
INFO = ("--info", "-i")
SHOWN_CONFIGURATIONS = ("job", "hydra", "all")
OVERRIDES = ("-o", "--override", "--overrides", "--opts", "--set")
"""Flags of others before keys and their values."""

INFO_CHOICES = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
EXAMPLE = "A command is made of key=value, such as trainer.epochs=5; --help shows more."

POSITIONAL = {
    "benchmark": ("benchmark.what",),
    "compare": ("compare.runs",),
    "convert": ("convert.source", "convert.output"),
    "eval": ("eval.source",),
    "export": ("export.source",),
    "predict": ("predict.input",),
    "search": ("search.what", "search.source", "search.input"),
}
"""The keys that words without a key are for; a last one that holds several texts takes all that are left."""


@dataclass
class Words:
    """A command's words by what they are.

    Args:
        sweep: ``-m`` is among the flags.
        own_configuration: the user has configurations beside ``conf/``, with keys and choices of their own.
    """

    flags: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    sweep: bool = False
    own_configuration: bool = False


def divide(arguments: list[str], program: str) -> Words:
    """Tell a command's words apart; words without a key get the one that they are for.

    Raises:
        UserError: a word is none of these.
    """
    words, loose = Words(), []
    waiting = list(enumerate(arguments))
    while waiting:
        position, word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if name in (*WITH_VALUE, *OF_ANOTHER_CONFIGURATION):
            _require_value(word, waiting[0][1] if waiting else "", program)
            words.flags += [word, *(waiting.pop(0)[1] for _ in waiting[: 0 if equals else 1])]
            words.own_configuration |= name in OF_ANOTHER_CONFIGURATION
        elif name in INFO:
            takes = bool(waiting) and not equals and waiting[0][1] in INFO_CHOICES
            foreign = value if equals else waiting[0][1] if waiting else ""
            if foreign and foreign not in INFO_CHOICES and (equals or not OVERRIDE.fullmatch(foreign)):
                raise UserError(_no_option(word, foreign, program))
            words.flags += [word, *(waiting.pop(0)[1] for _ in waiting[: int(takes)])]
        elif word in (*SWITCHES, *SWEEP):
            words.flags.append(word)
            words.sweep |= word in SWEEP
        elif word.startswith("-"):
            raise UserError(_no_option(word, waiting[0][1] if waiting else "", program))
        elif OVERRIDE.fullmatch(word) and not _is_file(word, program):
            words.overrides.append(word)
            words.own_configuration |= name == "hydra.searchpath"
            words.sweep |= word in ("hydra.mode=MULTIRUN", "hydra.mode=multirun")
        else:
            loose.append((position, word))
    if "--resolve" in words.flags and not {"--cfg", "-c", "--help", "-h"} & {
        flag.partition("=")[0] for flag in words.flags
    }:
        raise UserError("--resolve goes with --cfg job.")
    if loose:
        words.overrides += _with_keys(loose, words.overrides, arguments, program)
    return words


def _require_value(word: str, after: str, program: str) -> None:
    """Refuse a flag of Hydra without what it needs, in our words."""
    name, equals, value = word.partition("=")
    value = value if equals else after
    if not value:
        raise UserError(f"{name} has no value. {EXAMPLE}")
    if name in ("--cfg", "-c") and value not in SHOWN_CONFIGURATIONS:
        recipe = " A recipe is experiment=<name>." if "experiment" in groups(program) else ""
        raise UserError(f"{name} {value}: it shows the configuration of a command, as --cfg job.{recipe} {EXAMPLE}")


def _is_file(word: str, program: str) -> bool:
    """Whether a word with an equals sign is a file rather than a key and its value."""
    return word.partition("=")[0] not in known_rows(program) and os.path.lexists(word)


def _with_keys(loose: list[tuple[int, str]], overrides: list[str], arguments: list[str], program: str) -> list[str]:
    given = {override.partition("=")[0] for override in overrides}
    keys = [key for key in POSITIONAL.get(program, ()) if key not in given]
    row = known_rows(program)[keys[-1]] if keys else None
    takes_all = row is not None and (row.several or row.texts)
    taken = len(loose) if takes_all else len(keys)
    for number, (position, word) in enumerate(loose):
        before = arguments[position - 1] if position else ""
        if number < len(keys) and any(word in rule.choices for rule in known_rows(program)[keys[number]].rules):
            continue  # as model, of which imgcls.benchmark says what it costs
        if not os.path.lexists(word) and (known := _as_key(word, arguments[position + 1 :], program)):
            raise UserError(known)
        if number >= taken or _belong_together(before, word):
            raise UserError(_stray(word, before, program))
    values = [word for _, word in loose]
    found = [f"{key}={value}" for key, value in zip(keys, values, strict=False)]
    if takes_all and len(values) >= len(keys) and (len(values) > len(keys) or row.texts):
        found[-1] = f"{keys[-1]}=[{','.join(map(quoted, values[len(keys) - 1 :]))}]"
    return found


def _belong_together(before: str, word: str) -> bool:
    """Whether two words are one path with a blank that the shell divided."""
    path = before.partition("=")[2] if OVERRIDE.fullmatch(before) else before
    return bool(path) and not os.path.lexists(path) and os.path.lexists(f"{path} {word}")


def _as_key(word: str, after: list[str], program: str) -> str | None:
    """The message for a key without a value, or with its value behind another sign; ``None`` if it is no key."""
    if "＝" in word and "=" not in word:
        return f"{word}: that is a full-width sign. Write {word.replace('＝', '=')}"
    name, colon, value = word.partition(":")
    key = name.lstrip("+~")
    if key not in known_rows(program) and key not in groups(program):
        return None
    if colon:
        return f"{word}: write {name}={value or '...'}"
    if after and after[0].startswith("="):
        return f"{word} {after[0]}: write {word}=... without blanks round the equals sign."
    value = after[0] if after and "=" not in after[0] and not after[0].startswith("-") else "..."
    return f"{word} has no value. Write {word}={value}"


def _stray(word: str, before: str, program: str) -> str:
    """The message for a word that nothing is done with."""
    if word in list_models():
        return f"'{word}' stands alone. Write model={word}"
    if before and not before.startswith("-") and OVERRIDE.fullmatch(before):
        key, _, value = before.partition("=")
        if not value:
            return f"'{word}' stands alone. Write {key}={word} without a blank."
        if key in known_rows(program) and known_rows(program)[key].kind is str:
            return f"'{word}' stands alone. If it belongs to {key}, put quotes round the two: {key}=\"{value} {word}\""
    if before and _belong_together(before, word):
        return f"'{word}' stands alone. A path with a blank is put into quotes: \"{before} {word}\""
    if os.path.isdir(os.path.join(word, "checkpoints")) and program == "train":
        name = os.path.basename(os.path.normpath(word))
        return (
            f"'{word}' stands alone. To go on with this run write run.name={name} trainer.resume=auto; to start from "
            f"its weights model.pretrained={word}"
        )
    if os.path.isdir(word) and "data" in groups(program):
        return f"'{word}' stands alone. Write {data_at(word)}"
    close = close_matches(word, [*known_rows(program), *groups(program)])
    return f"'{word}' stands alone.{close} {EXAMPLE}"


def data_at(root: str) -> str:
    """The overrides that pictures are given with: a directory, a zip, or a list of them."""
    lists, is_file = "", os.path.isfile(root)
    if is_file and root.lower().endswith((".txt", *TABLES)):
        root, lists = os.path.dirname(root) or ".", f" data.train_list={root} data.val_list=..."
    is_zip = is_file and root.lower().endswith(".zip")
    has_list = lists or os.path.isfile(os.path.join(root, "train_list.txt"))
    format = "zip" if is_zip else "list" if has_list else "folder"
    shown = f'"data.root={root}"' if re.search(r"[^\w./~-]", root) else f"data.root={root}"
    return f"data={format} {shown}{lists}"


def _no_option(word: str, after: str, program: str) -> str:
    """The message for a flag that is none of Hydra's."""
    if word == "-":
        return "-: nothing is read from standard input. Name files."
    name, _, value = word.lstrip("-").partition("=")
    name = name.replace("-", "_")
    if not value:
        value = after if after and not after.startswith("-") and "=" not in after else ""
    if os.path.lexists(word):
        return f"{word}: write ./{word} for a file of that name."
    if word in OVERRIDES and "=" in after:
        key, _, value = after.partition("=")
        keys = meant(key, program)
        return f"{word} is not needed: write {spelled(keys[0], unquoted(value)) if keys else after}"
    if keys := meant(name, program, value):
        key = keys[0]
        row = known_rows(program).get(key)
        if key.endswith(".enabled") and value.lower() not in ("", "true", "false", "on", "off", "yes", "no", "1", "0"):
            section = key.removesuffix(".enabled")
            others = [one for one in known_rows(program) if one.startswith(f"{section}.") and one != key]
            more = f", and {value} as one of {', '.join(others)}" if others else ""
            return f"{word}: there are no options with dashes here. Write {section}=on{more}"
        value = value or ("true" if row and row.kind is bool else "fast" if key == "debug" else "...")
        old = " (docs/original_flags.md has every flag of the original)" if name in OLD_FLAGS else ""
        return f"{word}: there are no options with dashes here. Write {spelled(key, unquoted(value))}{old}"
    if name in GONE_FLAGS:
        return f"{word} is not needed any more: {GONE_FLAGS[name]}. Leave it out."
    if name in OLD_FLAGS:
        return f"{word} is not needed for imgcls.{program}. docs/original_flags.md says what became of it."
    known = [key.rpartition(".")[2] for key in known_rows(program)]
    return f"There is no option {word}.{close_matches(name, [*groups(program), *dict.fromkeys(known)])} {EXAMPLE}"
