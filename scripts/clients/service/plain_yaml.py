"""YAML from anybody: without the aliases that let a small file become a large one, and of bounded size."""

import yaml

MAX_BYTES, MAX_NODES = 8 << 20, 200_000
"""A list of class names takes a node a class."""


class Loader(yaml.SafeLoader):
    nodes = 0

    def compose_node(self, parent, index):
        self.nodes += 1
        if self.check_event(yaml.AliasEvent):
            raise ValueError("the YAML has aliases, which imgcls does not write")
        if self.nodes > MAX_NODES:
            raise ValueError(f"the YAML has more than {MAX_NODES:,} values")
        return super().compose_node(parent, index)


def read(path):
    """The content of a file."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES:,} bytes")
    try:
        return yaml.load(content.decode("utf-8"), Loader)
    except RecursionError:
        raise ValueError(f"{path.name} is not YAML as imgcls writes it: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML as imgcls writes it: {error!s:.200}") from None
