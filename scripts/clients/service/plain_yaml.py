"""YAML from anybody: without the aliases that let a small file become a large one."""

import yaml


class Loader(yaml.SafeLoader):
    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError("the YAML has aliases, which imgcls does not write")
        return super().compose_node(parent, index)
