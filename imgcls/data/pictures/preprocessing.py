"""How a network sees an image, as one object that travels with its weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from imgcls.data.pictures.channels import Channels
from imgcls.data.pictures.decode import REDUCTIONS
from imgcls.data.pictures.fits import Colour
from imgcls.data.pictures.size import Size, sides
from imgcls.data.pictures.transforms import Transform, eval_transform
from imgcls.errors import UserError
from imgcls.models.registry import ModelInfo

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From an upright RGB image of any size to a network's input, in evaluation.

    By ``fit="crop"`` the short side is resized to ``resize_size`` and the central square of ``size`` is cut out (of
    another shape, see ``ResizeCentreCrop``); ``letterbox`` and ``stretch`` show the whole image. Then
    ``(image / 255 - mean) / std``, channels first. Training crops at random and shares the rest.

    Pixels belong to weights: Pillow averages when it shrinks, OpenCV, which the original used, does not.

    As many numbers as ``mean`` has, as many channels has an image.

    Args:
        size: of the network's input in pixels: the side of a square, or height and width.
        resize_size: length of the short side before the crop; of no meaning for other fits.
        interpolation: a key of ``choices.INTERPOLATIONS``.
        mean: of each channel, of values in 0 to 1.
        std: likewise.
        depth: bits of a channel, one of ``channels.DEPTHS``: images of 8 are uint8, of 16 float32 from 0 to 255.
        resampling: one of ``choices.RESAMPLINGS``; with ``opencv`` images come out to the bit as of the
            original's reader, and what reads them needs OpenCV.
        fit: one of ``choices.FITS``.
    """

    size: Size
    resize_size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resampling: str = "pillow"
    fit: str = "crop"
    depth: int = 8

    @property
    def height(self) -> int:
        """Of the network's input."""
        return sides(self.size)[0]

    @property
    def width(self) -> int:
        """Of the network's input."""
        return sides(self.size)[1]

    @property
    def channels(self) -> Channels:
        """Of an image."""
        return Channels(len(self.mean), self.depth)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as ``transform`` gives it."""
        return self.height, self.width, len(self.mean)

    @property
    def fill(self) -> Colour:
        """Colour of the bars of a letterboxed image: the mean, which becomes 0."""
        return fill_of(self.mean)

    @property
    def jpeg_reductions(self) -> tuple[int, ...]:
        """The first that leaves pixels enough for ``size`` is the factor by which the decoder shrinks a JPEG."""
        return REDUCTIONS if self.resampling == "pillow" and self.channels.are_usual else ()

    @classmethod
    def of_model(cls, info: ModelInfo, size: Size | None = None) -> Self:
        """As a model was evaluated by its authors; of another ``size``, in the same proportion to ``resize_size``."""
        size = size or info.input_size
        return cls(
            size=size,
            resize_size=in_proportion(size, info.input_size, info.resize_size),
            interpolation=info.interpolation,
            mean=info.mean,
            std=info.std,
        )

    def transform(self, five: bool = False, whole: bool = False) -> Transform:
        """From an image to an array ``[height, width, channels]``, uint8 or, of more bits, float32 from 0 to 255.

        Args:
            five: its corners as well, one below the other, see ``FiveCrops``; for ``fit="crop"``.
            whole: all of it in its own proportions, packed, see ``Whole``; for ``fit="crop"``.

        Raises:
            UserError: a value outside its range, OpenCV is needed and not installed, or there are no corners to cut.
        """
        if five and self.fit != "crop":
            raise UserError(f"Five crops need transform.fit=crop: {self.fit} shows the whole picture. Take tta=flip.")
        if whole and self.fit != "crop":
            raise UserError(f"tta=whole needs transform.fit=crop: {self.fit} shows the whole picture. Leave tta out.")
        if self.resampling == "opencv" and not self.channels.are_usual:
            raise UserError(
                f"OpenCV resizes RGB of 8 bits here, not {self.channels}: take transform.resampling=pillow."
            )
        return eval_transform(
            self.size,
            self.resize_size,
            self.interpolation,
            resampling=self.resampling,
            fit=self.fit,
            fill=self.fill,
            five=five,
            whole=whole,
            channels=self.channels,
        )

    def normalize(self, images: "paddle.Tensor", dtype: str = "float32") -> "paddle.Tensor":
        """From ``[N, H, W, C]``, values from 0 to 255, to ``[N, C, H, W]``, on the device of the images."""
        from imgcls.functional.normalize import normalize

        return normalize(images, self.mean, self.std, dtype)

    def normalize_array(self, images: np.ndarray) -> np.ndarray:
        """The same with numpy, float32."""
        from imgcls.functional.normalize import normalize_array

        return normalize_array(images, self.mean, self.std)

    def denormalize(self, image: np.ndarray) -> np.ndarray:
        """From one normalised image ``[C, H, W]`` back to uint8 ``[H, W, C]``."""
        values = image.transpose(1, 2, 0) * np.array(self.std) + np.array(self.mean)
        return np.clip(np.round(values * 255), 0, 255).astype(np.uint8)


def fill_of(mean: Iterable[float]) -> Colour:
    """The colour of bars that become 0 once the mean is subtracted, but for rounding."""
    return tuple(min(max(round(255 * value), 0), 255) for value in mean)


def in_proportion(size: Size, model_size: int, model_resize_size: int) -> int:
    """The length of the short side before the crop that is to that of ``size`` as a model's own is to its input."""
    return round(min(sides(size)) * model_resize_size / model_size)
