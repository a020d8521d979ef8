"""Whether an interrupted prediction may be gone on with."""

import pytest

from imgcls.deploy.continuation import FILE, agree
from imgcls.errors import UserError


def test_the_same_settings_go_on(tmp_path):
    settings = {"model": "a", "size": 224}
    assert not agree(tmp_path, settings, resume=True)
    assert agree(tmp_path, settings, resume=True)


@pytest.mark.parametrize(("before", "now"), [({}, {"resampling": "opencv"}), ({"resampling": "opencv"}, {})])
def test_other_pixels_do_not(before, now, tmp_path):
    agree(tmp_path, {"model": "a", **before}, resume=False)
    with pytest.raises(UserError, match="cannot be gone on with: resampling was"):
        agree(tmp_path, {"model": "a", **now}, resume=True)


@pytest.mark.parametrize("content", ["[]", "3", "{"])
def test_what_is_damaged_is_said(content, tmp_path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        agree(tmp_path, {"model": "a"}, resume=True)
