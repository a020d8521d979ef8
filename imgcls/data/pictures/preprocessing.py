"""How a network sees an image, as one object that travels with its weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from imgcls.data.pictures.decode import REDUCTIONS
from imgcls.data.pictures.transforms import Transform, eval_transform
from imgcls.models.registry import ModelInfo

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From an upright RGB image of any size to a network's input, in evaluation.

    The short side is resized to ``resize_size`` and the central square of ``size`` is cut out; then
    ``(image / 255 - mean) / std``, channels first. Training crops at random and shares the rest.

    Pixels belong to weights: Pillow averages when it shrinks, OpenCV, which the original used, does not.

    Args:
        size: side of the network's input in pixels.
        resize_size: length of the short side before the crop.
        interpolation: a key of ``choices.INTERPOLATIONS``.
        mean: of each channel, of values in 0 to 1.
        std: likewise.
        resampling: one of ``choices.RESAMPLINGS``; with ``opencv`` images come out to the bit as of the
            original's reader, and what reads them needs OpenCV.
    """

    size: int
    resize_size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resampling: str = "pillow"

    @property
    def jpeg_reductions(self) -> tuple[int, ...]:
        """The first that leaves ``size`` pixels of the square is the factor by which the decoder shrinks a JPEG."""
        return () if self.resampling == "opencv" else REDUCTIONS

    @classmethod
    def of_model(cls, info: ModelInfo, size: int | None = None) -> Self:
        """As a model was evaluated by its authors; of another ``size``, in the same proportion to ``resize_size``."""
        size = size or info.input_size
        return cls(
            size=size,
            resize_size=in_proportion(size, info.input_size, info.resize_size),
            interpolation=info.interpolation,
            mean=info.mean,
            std=info.std,
        )

    def transform(self) -> Transform:
        """From an image to uint8 ``[size, size, 3]``.

        Raises:
            UserError: a value outside its range, or OpenCV is needed and not installed.
        """
        return eval_transform(self.size, self.resize_size, self.interpolation, resampling=self.resampling)

    def normalize(self, images: "paddle.Tensor", dtype: str = "float32") -> "paddle.Tensor":
        """From uint8 ``[N, H, W, C]`` to ``[N, C, H, W]``, on the device of the images."""
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


def in_proportion(size: int, model_size: int, model_resize_size: int) -> int:
    """The length of the short side before the crop that is to ``size`` as a model's own is to its input."""
    return round(size * model_resize_size / model_size)
