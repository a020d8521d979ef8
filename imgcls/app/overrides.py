"""What is typed on a command line, as Hydra takes it.

A key that holds a text takes its value as it is typed. Hydra's grammar is for what it alone can say: the several
values of a sweep, lists in brackets, references to other keys as ``${model.name}``, and texts in quotes.
"""

import os
import re
from collections.abc import Callable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from imgcls.app.conf import groups, has_key, known_rows, optional_groups
from imgcls.app.keys import SCHEMAS
from imgcls.app.quoting import has_broken_reference, quoted, split, unquoted
from imgcls.app.rows import Row, sections
from imgcls.app.spellings import CHOICE_NOTES, CHOICES, meant, spelled
from imgcls.app.words import Words, data_at, divide
from imgcls.errors import UserError, close_matches, listed
from imgcls.models.registry import model_info

PLUS_OR_TILDE = re.compile(r"~|\+{0,2}")
OPEN = re.compile(r"(model|data|optimizer|lr_schedule|loss)\.args\.")
"""Sections whose ``args`` take any key."""

OWN = re.compile(r"(data|optimizer|lr_schedule|loss)\._target_")
SWEEP = re.compile(r"(choice|glob|interval|range|shuffle|sort|tag)\(.*\)", re.DOTALL)
"""Hydra's functions that stand for several values."""

OF_OWN_DATA = ("train", "verify", "preview", "lr_find", "benchmark", "search")
"""Programs whose data is no other run's."""

SIMPLE = re.compile(r"[\w./+-]+", re.ASCII)
WEIGHTS = (".pdparams", ".npz", ".tar")
TRUE, FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


def canonical(arguments: list[str], program: str) -> list[str]:
    """Overrides, and flags of Hydra's own, as Hydra takes them.

    - Texts are put into quotes, ``~`` of a path is the home directory.
    - Model names become lower case, one or several of a sweep.
    - Keys below ``args`` are added to what is there.
    - ``optimizer._target_=...`` alone chooses ``optimizer=own``, and so do the other sections.
    - ``callbacks.ema=on`` is ``callbacks.ema.enabled=true``; one text where a list is wanted is a list of one.
    - Words without a key are values of what the program works on: ``predict photo.jpg``.

    What has been through here comes out of it as it was.

    Raises:
        UserError: a word that is no override, or an override of what there is not; the message has the right one.
    """
    words = divide(arguments, program)
    words.overrides = [word for word in words.overrides if not _chooses_none(word, program)]
    given = [PLUS_OR_TILDE.sub("", word.partition("=")[0], count=1) for word in words.overrides]
    for group in groups(program):
        if given.count(group) > 1:
            raise UserError(f"{group}=... is given {given.count(group)} times: there can be one choice.")
    own = dict.fromkeys(match[1] for match in map(OWN.fullmatch, sorted(given)) if match)
    chosen = [f"{section}=own" for section in own if section not in given]
    chosen += _format_of(words, given, program)
    return [*words.flags, *chosen, *(_canonical(word, program, words) for word in words.overrides)]


def _format_of(words: Words, given: list[str], program: str) -> list[str]:
    """The choice of ``data`` that goes with a ``data.root``, where the command says no more than that."""
    named = {"data", "data._target_", "experiment", "trainer.resume"}.intersection(given)
    if named or program not in OF_OWN_DATA or words.own_configuration or "data.root" not in given:
        return []
    root = [as_typed(word)[1] for word in words.overrides if as_typed(word)[0] == "data.root"][-1]
    if root == "null" or (words.sweep and len(split(root)) > 1):
        return []
    if {"data.train_list", "data.val_list"}.intersection(given):
        return ["data=list"]
    return [data_at(os.path.expanduser(root)).partition(" ")[0]]


def imports(arguments: list[str]) -> list[str]:
    """The modules that a command line names with ``imports=``."""
    found = [value for key, value in map(as_typed, arguments) if key == "imports"]
    return [unquoted(name.strip()) for name in split(found[-1].strip("[]")) if name.strip()] if found else []


def as_typed(override: str) -> tuple[str, str]:
    """Key and value of an override without what Hydra needs beside them: signs in front, quotes."""
    key, _, value = override.partition("=")
    return PLUS_OR_TILDE.sub("", key, count=1), unquoted(value)


def expanded(key: str, value: object, program: str) -> object:
    """A value in which ``~`` is the home directory if the key holds a path and nothing is called so."""
    row = known_rows(program).get(key)
    if row and row.path and isinstance(value, str) and value.startswith("~") and not os.path.lexists(value):
        return os.path.expanduser(value)
    return value


def python_value(key: str, value: object, program: str) -> tuple[str, object]:
    """A key and its value as given in Python: a home directory, a switch, and one text of several, as on a command."""
    row = known_rows(program).get(key)
    if row is None and f"{key}.enabled" in known_rows(program) and str(value).lower() in (*TRUE, *FALSE):
        return f"{key}.enabled", str(value).lower() in TRUE
    return key, [value] if row and row.texts and isinstance(value, str) else expanded(key, value, program)


def _canonical(word: str, program: str, words: Words) -> str:
    sign = PLUS_OR_TILDE.match(word)[0]
    key, _, value = word[len(sign) :].partition("=")
    row = known_rows(program).get(key)
    if sign == "~" and (row or f"{key}.enabled" in known_rows(program)):
        instead = f"{key}=off" if row is None else f"{key}=null" if row.optional else f"{key}=..."
        raise UserError(f"{word}: a key cannot be taken away. Write {instead}")
    if sign == "~" or "@" in key:
        return word
    if re.match("hydra[./]", key):
        return f"{sign}{key}={_readable(key, value, row, words)}"
    if sign == "+" and (row or key in groups(program) or f"{key}.enabled" in known_rows(program)):
        sign = ""  # to add what is there can only mean to set it
    each = _each_of(value) if words.sweep else lambda write: write(value)
    if key == "imports":
        return f"{sign}{key}={_list(value)}"
    if key in groups(program):
        return f"{sign}{key}={_choices(key, value, program, words)}"
    if OPEN.match(f"{key}."):
        return f"++{key}={_readable(key, value, row, words)}"
    if row is None and f"{key}.enabled" in known_rows(program) and value.lower() in (*TRUE, *FALSE):
        return f"{sign}{key}.enabled={'true' if value.lower() in TRUE else 'false'}"
    if row is None and not words.own_configuration:
        raise UserError(unknown_key(key, program, value))
    if row is None:
        return word
    if row.kind is str:
        return f"{sign}{key}={_text(key, value, row, program, words)}"
    if row.texts:
        return f"{sign}{key}={each(_list)}"
    if row.kind is list and not words.sweep and value[:1] != "[" and len(split(value)) > 1:
        value = f"[{value}]"
    return f"{sign}{key}={_readable(key, value, row, words)}"


def _chooses_none(word: str, program: str) -> bool:
    """Whether it says of a group that need not be there that it is not."""
    group, _, value = word.lstrip("+").partition("=")
    return value == "null" and group in optional_groups(program)


def _each_of(value: str) -> Callable[[Callable[[str], str]], str]:
    """Applies a function to each of the values of a sweep."""
    return lambda write: value if SWEEP.fullmatch(value) else ",".join(map(write, _elements(value)))


def _elements(value: str) -> list[str]:
    """The values of a sweep over lists or texts; a list in brackets is one."""
    parts: list[str] = []
    for part in split(value):
        if parts and parts[-1].count("[") > parts[-1].count("]"):
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return parts


def _text(key: str, value: str, row: Row, program: str, words: Words) -> str:
    """The text that a key holds, or the texts of a sweep."""
    if _is_there(value, row):
        return _one_text(key, value, row, program)
    if row.several and value.startswith("[") and value.endswith("]"):
        parts = split(value[1:-1]) if value[1:-1].strip() else []
        return f"[{','.join(_one_text(key, part.strip(), row, program) for part in parts)}]"
    if words.sweep and SWEEP.fullmatch(value):
        return value
    return ",".join(_one_text(key, part, row, program) for part in (split(value) if words.sweep else [value]))


def _one_text(key: str, value: str, row: Row, program: str) -> str:
    if (row.switch and value.lower() in ("true", "false")) or (row.optional and value == "null"):
        return value
    text = value if _is_there(value, row) else unquoted(value)
    if text == "???":
        raise UserError(f"{key}=???: three question marks alone are no value. Write ./??? for a pattern.")
    if has_broken_reference(text):
        raise UserError(
            f"{key}={text}: '${{' begins a reference to another key, such as ${{model.name}}; '}}' is missing."
        )
    return quoted(str(expanded(key, text, program)))


def _is_there(value: str, row: Row) -> bool:
    return row.path and "\0" not in value and os.path.lexists(value)


def _list(value: str) -> str:
    """A list of texts."""
    inside = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if value == "null":  # none of them
        return "[]"
    return f"[{','.join(quoted(unquoted(part.strip())) for part in split(inside) if part.strip())}]"


def _readable(key: str, value: str, row: Row | None, words: Words) -> str:
    """A value in Hydra's grammar as it is; any other as a text, whose type is refused in our words."""
    try:
        parsed: Override = OverridesParser.create().parse_override(f"x={value}")
    except HydraException:
        if value[:1] in ("[", "{"):
            raise UserError(
                f"{key}={value}: cannot be read. A list is [a,b], a mapping {{key: value}}; texts in them with other "
                "characters than letters and digits are put into quotes."
            ) from None
        return quoted(value)
    if parsed.is_sweep_override() and not words.sweep:
        one = f" {key} must {row.must()}. {row.note}".rstrip() if row else ""
        raise UserError(f"{key}={value}: several values are a sweep, with -m in front.{one}")
    return value


def _choices(group: str, value: str, program: str, words: Words) -> str:
    """The choice of a group, or the choices of a sweep."""
    if (words.sweep and SWEEP.fullmatch(value)) or value.startswith("["):
        return value
    choices = [unquoted(part.strip()) for part in split(value)]
    if len(choices) > 1 and not words.sweep:
        raise UserError(f"{group}={value}: one choice at a time; with -m in front, each of them has a run.")
    return ",".join(_choice(group, choice, program, words) for choice in choices)


def _choice(group: str, choice: str, program: str, words: Words) -> str:
    if group == "model" and choice and not (os.path.exists(choice) or "/" in choice or choice.endswith(WEIGHTS)):
        return model_info(choice).name
    if choice in groups(program)[group] or (words.own_configuration and SIMPLE.fullmatch(choice)):
        return choice
    if (meant := choice.lower().replace("-", "_")) in groups(program)[group]:
        return meant
    if choice == "null":
        raise UserError(f"There is no {group}=null: there must be one of {listed(groups(program)[group])}.")
    if not choice:
        raise UserError(f"{group} has no value. There are: {listed(groups(program)[group])}.")
    raise UserError(unknown_choice(group, choice, groups(program)[group], program))


def unknown_choice(group: str, choice: str, options: list[str], program: str) -> str:
    """The message for a choice that there is not."""
    other = CHOICES.get(group, {}).get(choice.lower())
    advice = close_matches(choice, options)
    if f"{group}.{choice}.enabled" in known_rows(program):
        advice = f" Write {group}.{choice}.enabled=true."
    elif other:
        advice = f" Write {group}={other}."
    elif group == "data" and (not advice or os.path.exists(choice)):
        advice = f" For pictures of your own write {data_at(choice)}."
    elif group == "model":
        key = f"{program}.source" if f"{program}.source" in known_rows(program) else "model.pretrained"
        advice = f" For weights write {key}={choice}, with the network's name as model."
    note = CHOICE_NOTES.get(f"{group}={choice.lower()}")
    return f"There is no {group}={choice}.{advice} There are: {listed(options)}.{f' {note}' if note else ''}"


def unknown_key(key: str, program: str, value: object = "...", known: list[str] | None = None) -> str:
    """The message for a key that there is not.

    Args:
        known: the keys that there are in its section, where the chosen configuration has fewer than the program.
    """
    rows, parts = known_rows(program), sections(SCHEMAS[program])
    if inside := [name for name in rows if name.startswith(f"{key}.")]:
        shown = [f"{name} ({rows[name].must().removeprefix('be ')})" for name in inside[:5]]
        return f"{key}={value}: {key} holds several keys. Write the one you mean: {listed(shown + inside[5:])}."
    path = key.split(".")
    depth = max(n for n in range(len(path)) if n == 0 or ".".join(path[:n]) in (*parts, "run", "hydra"))
    section, word = ".".join(path[:depth]), path[depth]
    if known is None:
        names = [name for name in (*groups(program), *parts, *rows) if name.startswith(section)]
        known = list(dict.fromkeys(name.removeprefix(section).lstrip(".").split(".")[0] for name in names))
    foreign = depth == 0 and len(path) > 1 and word not in known  # Global.epochs, Optimizer.lr.learning_rate
    others = [other for other in meant(key, program) if other != key]
    advice = "" if foreign and others else close_matches(word, filter(None, known))
    if not advice and others:
        advice = f" Write {' or '.join(spelled(other, value) for other in others)}."
    if key in rows and section in groups(program):
        having = [choice for choice in groups(program)[section] if has_key(section, choice, word)]
        advice = f" It belongs to {section}={' and '.join(having)}." if having else advice
    where = f"in '{section}'" if section else f"for imgcls.{program}"
    return f"There is no key '{word}' {where}.{advice} Known: {listed(filter(None, known))}."
