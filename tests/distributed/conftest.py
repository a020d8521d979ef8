"""Programs started in a directory of their own."""

import pytest
from tiny_run import starter


@pytest.fixture
def start(tmp_path):
    with starter(tmp_path) as start_program:
        yield start_program
