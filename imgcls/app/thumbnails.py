"""Pictures made small for a page."""

import io
from collections.abc import Callable
from functools import cache

from omegaconf import DictConfig
from PIL import Image

from imgcls.data.paths import printable
from imgcls.data.pictures.decode import open_image
from imgcls.data.pictures.in_time import in_time
from imgcls.errors import UserError
from imgcls.machine.pool import TimeLimit
from imgcls.report.overlay import QUALITY, THUMBNAIL_SIDE


def thumbnails(data: DictConfig) -> Callable[[str], bytes | None]:
    """From a path to the whole picture as a small JPEG; ``None`` where it cannot be read, or not in time."""
    limit = TimeLimit(data.max_decode_seconds, 1)
    numbers: dict[str, int] = {}

    @cache
    def thumbnail(path: str) -> bytes | None:
        def read() -> bytes:
            with open_image(path, max_pixels=data.max_pixels) as photo:
                picture = photo.decode_shrunk(min(photo.size), THUMBNAIL_SIDE)[0]
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
            return buffer.getvalue()

        try:
            return in_time(limit, numbers.setdefault(path, len(numbers)), printable(path), read)
        except (UserError, OSError):
            return None

    return thumbnail
