"""Processes that have listed different pictures behind an address do not train together."""

import pytest

from imgcls.app.training import require_one_listing
from imgcls.data.formats.build import build_samples
from imgcls.engine.ranks import Ranks
from imgcls.errors import UserError


class Other(Ranks):
    """Rank 1, whose first process has listed something else."""

    def broadcast(self, text: str = "") -> str:
        return text.replace(text[0], "x")


def test_they_end_in_words():
    samples = build_samples("sample")
    require_one_listing("s3://bucket", Ranks(), samples, None)
    with pytest.raises(UserError, match="not those that the first process has found there"):
        require_one_listing("s3://bucket", Other(rank=1), samples, samples)
