"""Files that a stranger may have made, read within the bounds of ``machine.limits``."""

import contextlib
import json
import locale
import os
import re
import stat
from typing import Any, BinaryIO

import yaml

from imgcls.errors import UserError
from imgcls.machine.limits import (
    DEPTH,
    JSON_BYTES,
    JSON_CONTAINERS,
    NUMBER_DIGITS,
    PLAIN_CHARACTERS,
    TEXT_BYTES,
    YAML_BYTES,
    YAML_NODES,
)

SHOWN = 60
"""Characters of a value in a message."""


def shown(value: str, length: int = SHOWN) -> str:
    """A stranger's text for a message: on one line, of bounded length, without control characters."""
    text = value[: length + 1]
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= length else f"{text[: length - 3]}..."


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a file that has a size and an end; devices, pipes and sockets are not even opened, links to them neither.

    Raises:
        OSError: there is no such file, or it is something else.
    """
    _require_regular(os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor))  # it may have been exchanged meanwhile
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | os.PathLike, limit: int) -> bytes:
    """All of a regular file of at most ``limit`` bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
        UserError: it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise UserError(f"{path} is refused: it is larger than {limit:,} bytes.")
        return file.read(size)


def read_text(path: str | os.PathLike, limit: int = TEXT_BYTES) -> str:
    """A text of at most ``limit`` bytes: UTF-8, or of an earlier version, which wrote in its locale's encoding.

    Raises:
        UserError: it is larger, cannot be read, or is neither UTF-8 nor in the encoding of this locale.
    """
    try:
        content = read_bytes(path, limit)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    for encoding in ("utf-8", locale.getencoding()):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            return content.decode(encoding)
    raise UserError(
        f"{path} is damaged: it is not UTF-8. If an earlier version wrote it in another locale, set LC_ALL to that "
        "one, such as LC_ALL=zh_CN.GBK."
    )


def read_json(path: str | os.PathLike) -> Any:
    """The value of a JSON file of at most ``JSON_BYTES``, nested at most ``DEPTH`` deep.

    Raises:
        UserError: it is larger, deeper, cannot be read, or is not JSON.
    """
    text = read_text(path, JSON_BYTES)
    if text.count("{") + text.count("[") > JSON_CONTAINERS:
        raise UserError(f"{path} is refused: more than {JSON_CONTAINERS:,} lists and objects.")
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}).") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text of a length that is known to be allowed.

    Raises:
        ValueError, RecursionError: it is not JSON, nested more than ``DEPTH`` deep, or has more lists and objects
            than ``JSON_CONTAINERS``, or longer numbers than the bounds allow.
    """
    if text.count("{") + text.count("[") > JSON_CONTAINERS:
        raise ValueError(f"more than {JSON_CONTAINERS:,} lists and objects")
    value = json.loads(text, parse_int=_whole_number)
    if isinstance(value, dict | list) and not _is_shallow(value):
        raise ValueError(f"it is nested more than {DEPTH} deep")
    return value


def read_yaml(path: str | os.PathLike, nodes: int = YAML_NODES) -> dict[str, Any]:
    """The keys and values of a YAML file such as this library writes.

    The plain subset: no anchors, aliases, tags, merges or second documents; whole numbers of at most
    ``NUMBER_DIGITS``; ``YAML_BYTES`` and ``DEPTH`` bound the rest.

    Args:
        nodes: so many keys and values at most.

    Raises:
        UserError: naming the line, where there is one.
    """
    text = read_text(path, YAML_BYTES)
    try:
        content = _value(_loader_for(text)(text), nodes)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        line = mark and min(mark.line, text.rstrip("\n").count("\n")) + 1  # the end is taken for one more
        where = f"{path}, line {line}" if mark else str(path)
        raise UserError(f"{where}: this is not YAML as imgcls writes it ({shown(reason)}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no keys and values.")
    return content


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
SLOW_YAML = 1 << 16
"""Characters that the slower loader, which takes halves of characters, reads in well under a second."""


def _loader_for(text: str) -> Any:
    """The fast one refuses ``"\\uDCFE"``, which PyYAML writes for a byte of a path that is not UTF-8."""
    return yaml.SafeLoader if len(text) <= SLOW_YAML and HALF_A_CHARACTER.search(text) else _Loader


class _Refused(yaml.MarkedYAMLError):
    def __init__(self, problem: str, event: yaml.Event):
        super().__init__(problem=problem, problem_mark=event.start_mark)


def _value(loader: Any, limit: int) -> Any:
    """The one document, event by event: nothing is built before its size and depth are known to be allowed."""
    result: list[Any] = []
    open_containers: list[tuple[Any, list[Any]]] = []  # each with the key that waits for its value
    nodes = 0
    while loader.check_event():
        event = loader.get_event()
        if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentStartEvent):
            if isinstance(event, yaml.DocumentStartEvent) and result:
                raise _Refused("a second document", event)
            continue
        if isinstance(event, yaml.DocumentEndEvent):
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            open_containers.pop()
            continue
        nodes += 1
        if nodes > limit:
            raise _Refused(f"more than {limit:,} values", event)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused("anchors and aliases", event)
        if event.tag not in (None, "!"):
            raise _Refused("tags", event)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = _scalar(loader, event)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        _put(value, open_containers[-1] if open_containers else (result, []), event)
        if isinstance(event, yaml.CollectionStartEvent):
            open_containers.append((value, []))
            if len(open_containers) > DEPTH:
                raise _Refused(f"nested more than {DEPTH} deep", event)
    return result[0] if result else None


def _put(value: Any, place: tuple[Any, list[Any]], event: yaml.Event) -> None:
    container, key = place
    if isinstance(container, list):
        container.append(value)
    elif key:
        container[key.pop()] = value
    else:
        if isinstance(value, dict | list):
            raise _Refused("a key that is no word", event)
        if isinstance(value, int | float) and len(str(value)) > 18:  # such can be chosen to hash alike
            raise _Refused("a number of many digits as a key", event)
        if value in container:
            raise _Refused("a key given twice", event)
        key.append(value)


def _scalar(loader: Any, event: yaml.ScalarEvent) -> Any:
    if not event.implicit[0]:
        return event.value
    if len(event.value) > PLAIN_CHARACTERS:
        raise _Refused(f"more than {PLAIN_CHARACTERS:,} characters without quotes", event)
    tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag == "tag:yaml.org,2002:merge":
        raise _Refused("merges", event)
    value = loader.construct_object(yaml.ScalarNode(tag, event.value, event.start_mark))
    if isinstance(value, int) and value.bit_length() > NUMBER_DIGITS * 3:
        raise _Refused(f"a number of more than {NUMBER_DIGITS} digits", event)
    loader.constructed_objects.clear()
    return value


def _whole_number(digits: str) -> int:
    if len(digits) > NUMBER_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _is_shallow(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth <= DEPTH:
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
        depth += 1
    return not level


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError("it is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a device, a pipe or a socket, not a file")
